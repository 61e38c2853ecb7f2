"""The versions of models' prices, for operators."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody
from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.models import read_model
from operis_api.admin.price_files import read_price_file
from operis_api.admin.price_import import apply_import, review_import
from operis_api.admin.pricing import add_price, read_rates, show_price
from operis_api.admin.schemas import CreatePriceBody, ImportPricesBody, Price, PriceImport
from operis_api.catalog.offers import touch_catalog
from operis_api.kit.errors import InvalidField
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_db import catalog as tables

IMPORT_BYTES_MAX = 8 * 1024 * 1024
"""LiteLLM's file has some 1.5 MB."""


@get("/prices", opt={"permission": "admin.prices.view"}, operation_id="list_prices")
async def list_prices(
    session: AsyncSession, model_id: FromQuery[str | None] = None, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[Price]:
    """List price versions, the latest `effective_from` first."""
    query = select(tables.Price).order_by(tables.Price.effective_from.desc(), tables.Price.id.desc()).limit(limit + 1)
    if model_id is not None:
        query = query.where(tables.Price.model_id == model_id)
    if after:
        moment, price_id = decode_cursor(after, tuple[datetime, UUID])
        query = query.where(
            tuple_(tables.Price.effective_from, tables.Price.id)
            < tuple_(literal(check_moment("after", moment)), literal(price_id))
        )
    rows = (await session.scalars(query)).all()
    return page(rows, limit=limit, position=lambda row: (row.effective_from, row.id), item=show_price)


@post("/prices", opt={"permission": "admin.prices.edit"}, operation_id="create_price")
async def create_price(identity: Identity, session: AsyncSession, data: JSONBody[CreatePriceBody]) -> Price:
    """Add a version of a model's price; without `effective_from` it is in force for the next call."""
    rates = read_rates(data)
    await touch_catalog(session)
    model = await read_model(session, data.model_id)
    now = datetime.now(UTC)
    row = await add_price(
        session, identity.origin, rates, model_id=model.id, begin=read_begin(data.effective_from, now), now=now
    )
    return show_price(row)


@post(
    "/prices/import",
    opt={"permission": "admin.prices.edit"},
    operation_id="import_prices",
    status_code=200,
    request_max_body_size=IMPORT_BYTES_MAX,
)
async def import_prices(identity: Identity, session: AsyncSession, data: JSONBody[ImportPricesBody]) -> PriceImport:
    """Compare a price file with the catalog and answer the diff; with the `plan` of a reviewed diff, apply it.

    A file's cost times `markup` is the sale price where the file names none. `models` chooses some of the models that
    are new or changed; without it, all that are not flagged are applied, all or none, in one commit.
    """
    now = datetime.now(UTC)
    begin = read_begin(data.effective_from, now)
    listed = await asyncio.to_thread(read_price_file, data.format, data.file)
    if data.plan is None:
        return await review_import(session, data, listed, begin)
    return await apply_import(session, identity.origin, data, listed, begin=begin, now=now)


def read_begin(effective_from: datetime | None, now: datetime) -> datetime:
    """Return when a version begins: now, unless a later moment is named."""
    if effective_from is None:
        return now
    begin = check_moment("effective_from", effective_from)
    if begin < now:
        raise InvalidField("effective_from", "a price cannot begin in the past; leave it out to begin now.")
    return begin


router = Router("/", route_handlers=[list_prices, create_price, import_prices])
