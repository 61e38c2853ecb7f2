"""The typed client of the Operis API.

async with AsyncOperis("http://127.0.0.1:3001") as operis:
    tokens = await operis.login(email="ada@example.com", password="...")
    operis.token = tokens.access_token
    wallet = await operis.get_wallet()
"""

from operis_client.aio import AsyncOperis
from operis_client.errors import ApiError, OperisError, UnreachableError
from operis_client.sync import Operis

__all__ = ["ApiError", "AsyncOperis", "Operis", "OperisError", "UnreachableError"]
