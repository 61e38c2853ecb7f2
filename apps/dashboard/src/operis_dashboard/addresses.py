"""Addresses of pages: what a list is narrowed to stands in them, so that they can be kept and sent on."""

from collections.abc import Mapping
from urllib.parse import urlencode


def address(path: str, parameters: Mapping[str, str]) -> str:
    """Return the page's address with those parameters that say something."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{path}?{query}" if query else path
