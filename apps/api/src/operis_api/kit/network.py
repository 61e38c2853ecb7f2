"""Outbound connections only to where the operator allows: the public internet and the networks that were named."""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from operis_api.kit.errors import InvalidField

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
URL_CHARACTERS_MAX = 2000
_V4_IN_LAST_BITS = (ipaddress.ip_network("::/96"), ipaddress.ip_network("64:ff9b::/96"))


class AddressRefused(OSError):
    """The name resolves, but to an address that must not be called."""


def is_allowed(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether `address` is public or in one of `networks`; v4-in-v6 forms are judged as the v4 they carry."""
    found = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(found, ipaddress.IPv6Address) and not found.is_loopback:
        found = _carried(found) or found
    if any(found.version == network.version and found in network for network in networks):
        return True
    return found.is_global and not found.is_multicast


def check_url(field: str, url: str, networks: tuple[Network, ...], *, https_only: bool) -> str:
    """Return `url` without a closing slash, or raise `InvalidField`: scheme, host, and what a literal address is."""
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidField(field, f"write up to {URL_CHARACTERS_MAX} ASCII characters without spaces.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidField(field, "this is not a URL.") from None
    schemes = {"https"} if https_only else {"https", "http"}
    if parts.scheme not in schemes or not parts.hostname:
        raise InvalidField(field, f"write a URL that begins with {' or '.join(sorted(schemes))}:// and names a host.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidField(field, "leave out user, password, query and fragment.")
    try:
        port = parts.port
        address = socket.inet_ntoa(socket.inet_aton(parts.hostname)) if _looks_numeric(parts.hostname) else None
        address = address or str(ipaddress.ip_address(parts.hostname))
    except ValueError:
        address, port = None, _port(field, url)
    except OSError:
        raise InvalidField(field, "the host is not an address.") from None
    if address is not None and not is_allowed(address, networks):
        raise InvalidField(
            field, f"{address} is not a public address; name its network in OPERIS_UPSTREAM_ALLOWED_NETWORKS."
        )
    if port == 0:
        raise InvalidField(field, "the port is not usable.")
    return url.rstrip("/")


async def check_host(field: str, url: str, networks: tuple[Network, ...]) -> None:
    """Raise `InvalidField` where the URL's host resolves to an address that must not be called, or to none."""
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label that is empty or too long to ask for
        raise InvalidField(field, f"the host {host} cannot be found.") from None
    if not all(is_allowed(str(entry[4][0]), networks) for entry in found):
        raise InvalidField(field, f"the host {host} is not public; see OPERIS_UPSTREAM_ALLOWED_NETWORKS.")


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the v4 address inside a v6 one: mapped, compatible, 6to4 or NAT64."""
    inside = address.ipv4_mapped or address.sixtofour
    if inside is None and any(address in network for network in _V4_IN_LAST_BITS):
        inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inside


class GuardedResolver(AbstractResolver):
    """Resolves names at connect time and refuses addresses outside the allowed: a name that moved gains nothing."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [entry for entry in found if is_allowed(entry["host"], self._networks)]
        if not allowed:
            raise AddressRefused(f"{host} resolves to no address that may be called")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def _looks_numeric(host: str) -> bool:
    """Tell forms like 2130706433, 0x7f.1 and 017700000001, which the C library reads as IPv4 addresses."""
    return all(label and (label.isdigit() or label.lower().startswith("0x")) for label in host.split("."))


def _port(field: str, url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        raise InvalidField(field, "the port is not a number from 1 to 65535.") from None
