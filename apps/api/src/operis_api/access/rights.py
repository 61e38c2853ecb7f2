"""What a credential may do, and whether one's rights lie within another's: nobody hands on more than they have."""

import ipaddress
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from itertools import zip_longest

import msgspec

from operis_api.kit.network import Network

AREAS: dict[str, tuple[str, ...]] = {
    "inference": ("chat", "responses", "messages", "embeddings"),
    "models": (),
    "usage": (),
    "billing": ("read", "write"),
    "keys": ("read", "write"),
}
"""Scopes are areas, and parts of areas written `area:part`; an area holds all of its parts."""
SCOPES = frozenset(AREAS) | {f"{area}:{part}" for area, parts in AREAS.items() for part in parts}
EVERY_AREA = frozenset(AREAS)
LIMITS = ("budget", "budget_daily", "budget_weekly", "budget_monthly", "rpm", "tpm", "concurrency")


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Empty models, no CIDRs and no end mean: not narrowed."""

    scopes: frozenset[str] = EVERY_AREA
    models: frozenset[str] = frozenset()
    """Ids, or beginnings of ids with `*` behind."""
    cidrs: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    limits: tuple[int | None, ...] = ()
    """In the order of `LIMITS`; none at all, or None of one: not limited."""


def holds_scope(scopes: Collection[str], needed: str) -> bool:
    return needed in scopes or needed.partition(":")[0] in scopes


def allows_model(patterns: Collection[str], model: str) -> bool:
    return not patterns or model in patterns or any(_matches(pattern, model) for pattern in patterns)


def allows_address(cidrs: Collection[str], address: str | None) -> bool:
    """Tell whether a client's address lies in one of the networks; IPv4 inside IPv6 is judged as the IPv4."""
    if not cidrs:
        return True
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    return any(found.version == network.version and found in network for network in map(read_network, cidrs))


def find_excess(wanted: Rights, own: Rights) -> str | None:
    """Return the name of the first right in `wanted` that goes beyond `own`, None where all lie within."""
    if not all(holds_scope(own.scopes, scope) for scope in wanted.scopes):
        return "scopes"
    if own.models and not (wanted.models and all(allows_model(own.models, one) for one in wanted.models)):
        return "models"
    if own.cidrs and not (wanted.cidrs and all(any(_lies_in(one, its) for its in own.cidrs) for one in wanted.cidrs)):
        return "cidrs"
    for name, most, asked in zip_longest(LIMITS, own.limits, wanted.limits):
        if most is not None and (asked is None or asked > most):
            return str(name)
    if own.expires_at and (wanted.expires_at is None or wanted.expires_at > own.expires_at):
        return "expires_at"
    return None


@lru_cache(10_000)
def read_network(cidr: str) -> Network:
    """Return the network, or raise ValueError where the text is none; IPv4 inside IPv6 is to be written as IPv4."""
    network = ipaddress.ip_network(cidr)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("write IPv4 as IPv4")
    return network


def _matches(pattern: str, model: str) -> bool:
    return pattern.endswith("*") and model.startswith(pattern[:-1])


def _lies_in(inner: str, outer: str) -> bool:
    one, other = read_network(inner), read_network(outer)
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.subnet_of(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.subnet_of(other)
    return False
