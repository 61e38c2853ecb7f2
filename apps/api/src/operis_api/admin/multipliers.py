"""What each plan pays of the prices, for operators. In force for the next call; a call keeps the one it began with."""

from fractions import Fraction
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.models import read_model
from operis_api.admin.schemas import PlanMultiplier, SetMultiplierBody
from operis_api.audit.recording import record_event
from operis_api.catalog.offers import touch_catalog
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.money import format_ratio, parse_ratio
from operis_api.kit.paging import Page
from operis_db import catalog as tables
from operis_db.people import Plan

MULTIPLIERS_MAX = 2000


@get("/multipliers", opt={"permission": "admin.prices.view"}, operation_id="list_multipliers")
async def list_multipliers(session: AsyncSession) -> Page[PlanMultiplier]:
    """List what plans pay of the prices, by plan; a plan that is not listed pays all."""
    rows = await session.execute(
        select(tables.PlanMultiplier, Plan)
        .join(Plan, Plan.id == tables.PlanMultiplier.plan_id)
        .order_by(Plan.name, tables.PlanMultiplier.model_id.nulls_first())
        .limit(MULTIPLIERS_MAX)
    )
    return Page(items=[_show(row, plan) for row, plan in rows.tuples()])


@post("/multipliers", opt={"permission": "admin.prices.edit"}, operation_id="set_multiplier", status_code=200)
async def set_multiplier(
    identity: Identity, session: AsyncSession, data: JSONBody[SetMultiplierBody]
) -> PlanMultiplier:
    """Say what a plan pays of a model's prices, or without a model, of all that have no multiplier of their own."""
    multiplier = parse_ratio("multiplier", data.multiplier)
    await touch_catalog(session)
    plan = await session.get(Plan, data.plan_id)
    if plan is None:
        raise InvalidField("plan_id", f"there is no plan {data.plan_id}.")
    if data.model_id is not None:
        await read_model(session, data.model_id)
    row = await session.scalar(
        select(tables.PlanMultiplier).where(
            tables.PlanMultiplier.plan_id == plan.id,
            tables.PlanMultiplier.model_id.is_not_distinct_from(data.model_id),
        )
    )
    before = None if row is None else _facts(row)
    if row is None:
        if (await session.scalar(select(func.count()).select_from(tables.PlanMultiplier)) or 0) >= MULTIPLIERS_MAX:
            raise InvalidField("model_id", f"there are {MULTIPLIERS_MAX} multipliers; remove some first.")
        row = tables.PlanMultiplier(id=new_id(), plan_id=plan.id, model_id=data.model_id)
        session.add(row)
    row.numerator, row.denominator = multiplier.as_integer_ratio()
    await session.flush()
    await session.refresh(row)
    record_event(
        session,
        identity.origin,
        action="multiplier.set",
        target=("plan", plan.id),
        before=before,
        after=_facts(row),
    )
    return _show(row, plan)


@delete("/multipliers/{multiplier_id:uuid}", opt={"permission": "admin.prices.edit"}, operation_id="remove_multiplier")
async def remove_multiplier(identity: Identity, session: AsyncSession, multiplier_id: FromPath[UUID]) -> None:
    """Take a multiplier away: the plan's own is in force for that model then, or the whole price."""
    await touch_catalog(session)
    row = await session.get(tables.PlanMultiplier, multiplier_id)
    if row is None:
        raise NotFound(f"There is no multiplier {multiplier_id}.")
    await session.delete(row)
    record_event(session, identity.origin, action="multiplier.remove", target=("plan", row.plan_id), before=_facts(row))


def _facts(row: tables.PlanMultiplier) -> dict[str, str | int | bool | None]:
    return {"model": row.model_id, "multiplier": format_ratio(Fraction(row.numerator, row.denominator))}


def _show(row: tables.PlanMultiplier, plan: Plan) -> PlanMultiplier:
    return PlanMultiplier(
        id=row.id,
        plan_id=plan.id,
        plan_name=plan.name,
        model_id=row.model_id,
        multiplier=format_ratio(Fraction(row.numerator, row.denominator)),
        created_at=row.created_at,
    )


router = Router("/", route_handlers=[list_multipliers, set_multiplier, remove_multiplier])
