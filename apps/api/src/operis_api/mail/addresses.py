"""Mail addresses: which can be written to at all."""

import re
from email.errors import MessageError
from email.headerregistry import Address

from operis_api.mail.errors import InvalidEmail

# Deliberately loose: one @, something on both sides, no spaces or controls. Whether mail arrives is what counts.
_EMAIL = re.compile(r"[^\s@\x00-\x1f<>\"(),:;\[\]\\]{1,64}@[^\s@\x00-\x1f<>\"(),:;\[\]\\]{1,190}", re.ASCII)


def check_address(email: str) -> str:
    """Return the address without spaces around it, or raise `InvalidEmail` where a header could not bear it."""
    address = email.strip()
    try:
        if not _EMAIL.fullmatch(address) or not address.isascii():
            raise InvalidEmail("Write an address like ada@example.com.", field="email")
        Address(addr_spec=address)
    except (ValueError, IndexError, MessageError):
        raise InvalidEmail("Write an address like ada@example.com.", field="email") from None
    return address
