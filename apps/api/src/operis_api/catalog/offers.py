"""What a process knows of the catalog: every offered model with its routes and prices, loaded as a whole.

Its one rule: a call is quoted from the newest catalog. Admission compares `version` inside its transaction and
answers catalog_changed to a process that has an older one; that process then loads again.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.catalog.pricing import METERS, ONE, Meters, Price, Tier
from operis_api.kit.encryption import Vault
from operis_api.kit.sessions import Sessions
from operis_db import catalog as tables

_FALLBACKS = {
    "cached_input": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "input",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
    "image": "output",
}


class Credential(msgspec.Struct, frozen=True):
    """One of an upstream's credentials; the first has the upstream's id."""

    id: UUID
    api_key: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve a model: an upstream, its credentials, and the model's name there."""

    upstream_id: UUID
    upstream_name: str
    protocol: str
    base_url: str
    credential: Credential
    """The one to use."""
    credentials: tuple[Credential, ...]
    upstream_model: str
    weight: int
    priority: int


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is sold."""

    id: str
    name: str
    context_tokens: int | None
    max_output_tokens: int | None
    default_output_tokens: int
    min_output_tokens: int
    created_at: datetime
    routes: tuple[Route, ...]
    prices: tuple[Price, ...]
    """By `effective_from`, oldest first."""

    def price_at(self, moment: datetime) -> Price | None:
        at = bisect_right(self.prices, moment, key=lambda price: price.effective_from)
        return self.prices[at - 1] if at else None

    def routes_of(self, protocols: Collection[str]) -> list[Route]:
        return [route for route in self.routes if route.protocol in protocols]


class Catalog:
    """The newest catalog this process has seen."""

    def __init__(self, sessions: Sessions, vault: Vault, *, echo_enabled: bool) -> None:
        self._sessions = sessions
        self._vault = vault
        self._echo_enabled = echo_enabled
        self._loading = asyncio.Lock()
        self.version = 0
        self.offers: dict[str, Offer] = {}
        self._multipliers: dict[tuple[UUID, str | None], Fraction] = {}

    def find(self, model_id: str) -> Offer | None:
        """Return the model, whose first price may yet have to begin."""
        return self.offers.get(model_id)

    def multiplier(self, plan_id: UUID | None, model_id: str) -> Fraction:
        """Return what a plan pays of a model's prices: what is said for the model, else for the plan, else all."""
        if plan_id is None:
            return ONE
        own = self._multipliers.get((plan_id, model_id))
        return self._multipliers.get((plan_id, None), ONE) if own is None else own

    def list_offered(self) -> list[tuple[Offer, Price]]:
        """Return the models that can be called now, by id, with the price in force."""
        now = datetime.now(UTC)
        priced = [(offer, offer.price_at(now)) for _, offer in sorted(self.offers.items())]
        return [(offer, price) for offer, price in priced if price is not None]

    async def refresh(self) -> None:
        """Load the catalog where the database has a newer one."""
        async with self._loading, self._sessions() as session:
            version = await session.scalar(select(tables.CatalogVersion.version))
            if version == self.version or version is None:
                return
            offers = {offer.id: offer for offer in await self._load(session)}
            multipliers = (await session.scalars(select(tables.PlanMultiplier))).all()
            self.offers = offers
            self._multipliers = {
                (row.plan_id, row.model_id): Fraction(row.numerator, row.denominator) for row in multipliers
            }
            self.version = version

    async def _load(self, session: AsyncSession) -> list[Offer]:
        """Read all rows after the version: whatever changed since makes the version older, never newer, than them."""
        models = (await session.scalars(select(tables.Model).where(tables.Model.enabled))).all()
        routes = (
            await session.execute(
                select(tables.ModelUpstream, tables.Upstream)
                .join(tables.Upstream, tables.Upstream.id == tables.ModelUpstream.upstream_id)
                .where(tables.Upstream.enabled)
            )
        ).all()
        pool: dict[UUID, list[Credential]] = {}
        for key in await session.scalars(select(tables.UpstreamKey).order_by(tables.UpstreamKey.id)):
            pool.setdefault(key.upstream_id, []).append(Credential(key.id, open_pool_key(self._vault, key)))
        prices = (await session.scalars(select(tables.Price).order_by(tables.Price.effective_from))).all()
        offers = [
            Offer(
                id=model.id,
                name=model.name,
                context_tokens=model.context_tokens,
                max_output_tokens=model.max_output_tokens,
                default_output_tokens=model.default_output_tokens,
                min_output_tokens=model.min_output_tokens,
                created_at=model.created_at,
                routes=tuple(
                    self._route(link, upstream, pool.get(upstream.id, []))
                    for link, upstream in routes
                    if link.model_id == model.id and (upstream.protocol != "echo" or self._echo_enabled)
                ),
                prices=tuple(resolve_price(price) for price in prices if price.model_id == model.id),
            )
            for model in models
        ]
        return [offer for offer in offers if offer.routes and offer.prices]  # a price may begin while this is loaded

    def _route(self, link: tables.ModelUpstream, upstream: tables.Upstream, pool: Sequence[Credential]) -> Route:
        first = Credential(upstream.id, open_api_key(self._vault, upstream))
        return Route(
            upstream_id=upstream.id,
            upstream_name=upstream.name,
            protocol=upstream.protocol,
            base_url=upstream.base_url,
            credential=first,
            credentials=(first, *pool),
            upstream_model=link.upstream_model,
            weight=link.weight,
            priority=link.priority,
        )


def open_api_key(vault: Vault, upstream: tables.Upstream) -> str:
    if upstream.protocol == "echo":
        return ""
    return vault.open(upstream.api_key_encrypted, context=f"upstream/{upstream.id}").decode()


def seal_api_key(vault: Vault, upstream_id: UUID, api_key: str) -> bytes:
    return vault.seal(api_key.encode(), context=f"upstream/{upstream_id}")


def open_pool_key(vault: Vault, key: tables.UpstreamKey) -> str:
    return vault.open(key.api_key_encrypted, context=f"upstream/{key.upstream_id}/{key.id}").decode()


def seal_pool_key(vault: Vault, upstream_id: UUID, key_id: UUID, api_key: str) -> bytes:
    return vault.seal(api_key.encode(), context=f"upstream/{upstream_id}/{key_id}")


def resolve_price(row: tables.Price) -> Price:
    """Return the row with the fallbacks of its unset meters filled in, for each of its tiers.

    A tier names what differs from the tier below it; its fallbacks are its own.
    """
    named: dict[str, int] = {
        name: rate for meter in METERS for name in (meter, f"cost_{meter}") if (rate := getattr(row, name)) is not None
    }
    tiers: list[Tier] = []
    for tier in [{}, *row.tiers]:
        named = {**named, **tier}
        cost_known = any(name.startswith("cost_") for name in named)
        tiers.append(
            Tier(
                from_prompt_tokens=tier.get("from_prompt_tokens", 0),
                sale=_rates(named, ""),
                cost=_rates(named, "cost_") if cost_known else None,
            )
        )
    return Price(id=row.id, model_id=row.model_id, effective_from=row.effective_from, tiers=tuple(tiers))


def _rates(named: Mapping[str, int], prefix: str) -> Meters:
    def rate(meter: str) -> int:
        fallback = _FALLBACKS.get(meter)
        return named.get(prefix + meter, rate(fallback) if fallback else 0)

    return Meters(**{meter: rate(meter) for meter in METERS})


async def touch_catalog(session: AsyncSession) -> None:
    """Mark the catalog as changed. Call it first in every change: its row lock keeps changes in version order."""
    row = tables.CatalogVersion
    await session.execute(update(row).values(version=row.version + 1))
