"""Plans, for operators: what organizations are given. A change is in force for the next sign-up and the next call."""

from uuid import UUID

import msgspec
from litestar import Router, get, patch
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.schemas import PlanRow, UpdatePlanBody
from operis_api.audit.recording import record_event
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.money import NANO, format_nano, parse_nano
from operis_api.kit.paging import Page
from operis_api.limits.fields import limit_facts, set_limits, show_limits
from operis_db.people import Plan

PLANS_SHOWN_MAX = 200
GIVEN_NANO_MAX = 1_000_000 * NANO
WINDOW_SECONDS_MAX = 366 * 24 * 3600


@get("/plans", opt={"permission": "admin.plans.view"}, operation_id="list_plans")
async def list_plans(session: AsyncSession) -> Page[PlanRow]:
    """List every plan, the oldest first."""
    plans = await session.scalars(select(Plan).order_by(Plan.id).limit(PLANS_SHOWN_MAX))
    return Page(items=[_show(plan) for plan in plans], next=None)


@patch("/plans/{plan_id:uuid}", opt={"permission": "admin.plans.edit"}, operation_id="update_plan")
async def update_plan(
    identity: Identity, session: AsyncSession, plan_id: FromPath[UUID], data: JSONBody[UpdatePlanBody]
) -> PlanRow:
    """Change what a plan gives and allows each of its organizations.

    A free window that runs keeps its amount and its end; amount 0 takes windows away.
    """
    plan = await session.get(Plan, plan_id, with_for_update=True)
    if plan is None:
        raise NotFound(f"There is no plan {plan_id}.")
    before = _facts(plan)
    if data.welcome_grant is not UNSET:
        plan.welcome_grant_nano = _parse_given("welcome_grant", data.welcome_grant)
    if data.free_window_amount is not UNSET:
        plan.free_window_nano = _parse_given("free_window_amount", data.free_window_amount)
    if data.free_window_seconds is not UNSET:
        plan.free_window_seconds = data.free_window_seconds
    if not 0 <= plan.free_window_seconds <= WINDOW_SECONDS_MAX:
        raise InvalidField("free_window_seconds", f"use 0 (no window) to {WINDOW_SECONDS_MAX}.")
    if plan.free_window_nano == 0 and data.free_window_seconds is UNSET:
        plan.free_window_seconds = 0
    if (plan.free_window_nano > 0) != (plan.free_window_seconds > 0):
        raise InvalidField(
            "free_window_seconds", "a free window needs both an amount and a length; 0 for both is none."
        )
    set_limits(plan, data)
    record_event(
        session, identity.origin, action="plan.update", target=("plan", plan_id), before=before, after=_facts(plan)
    )
    await session.flush()
    return _show(plan)


def _parse_given(field: str, text: str) -> int:
    amount_nano = parse_nano(field, text)
    if not 0 <= amount_nano <= GIVEN_NANO_MAX:
        raise InvalidField(field, f"use 0 to {format_nano(GIVEN_NANO_MAX)} credits.")
    return amount_nano


def _facts(plan: Plan) -> dict[str, str | int | bool | None]:
    return {
        "welcome_grant": format_nano(plan.welcome_grant_nano),
        "free_window_amount": format_nano(plan.free_window_nano),
        "free_window_seconds": plan.free_window_seconds,
        **limit_facts(plan),
    }


def _show(plan: Plan) -> PlanRow:
    return PlanRow(
        id=plan.id,
        name=plan.name,
        is_default=plan.is_default,
        welcome_grant=format_nano(plan.welcome_grant_nano),
        free_window_amount=format_nano(plan.free_window_nano),
        free_window_seconds=plan.free_window_seconds,
        created_at=plan.created_at,
        **msgspec.structs.asdict(show_limits(plan)),
    )


router = Router("/", route_handlers=[list_plans, update_plan])
