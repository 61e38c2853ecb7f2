"""Whose mail addresses are: which may sign up, which are one person's, and which are thrown away after use."""

import hashlib
import hmac
import re

from disposable_email_domains import blocklist

from operis_api.accounts.errors import DomainNotAllowed

_WITHOUT_DOTS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Providers that deliver a.d.a@ to ada@, and the name they go by."""
_RESERVED = re.compile(r"(.*\.)?(example\.(com|net|org)|(example|test|invalid|localhost|local))")
"""Domains for documentation and tests (RFC 2606, RFC 6761): no mail reaches them, so nothing is an alias there."""


def check_domain(address: str, allowed: tuple[str, ...]) -> None:
    """Raise `DomainNotAllowed` where sign-up is for certain domains and this is none of them."""
    if allowed and address.rpartition("@")[2].lower() not in allowed:
        raise DomainNotAllowed("Use an address of: " + ", ".join(allowed) + ".", field="email")


def is_disposable(address: str) -> bool:
    """Tell whether the address is of a provider that gives them away to be thrown away, or below one."""
    labels = address.rpartition("@")[2].lower().split(".")
    return any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1))


def hash_person(address: str, key: bytes) -> bytes:
    """Return a keyed hash that is the same for all spellings of one mailbox."""
    return hmac.digest(key, canonical_form(address).encode(), hashlib.sha256)


def canonical_form(address: str) -> str:
    """Return the mailbox that an address ends up in: without a +tag, and without dots where they count for nothing."""
    local, _, domain = address.lower().rpartition("@")
    if _RESERVED.fullmatch(domain):
        return f"{local}@{domain}"
    local = local.partition("+")[0] or local
    if domain in _WITHOUT_DOTS:
        return f"{local.replace('.', '')}@{_WITHOUT_DOTS[domain]}"
    return f"{local}@{domain}"
