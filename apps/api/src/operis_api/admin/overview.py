"""The platform's figures and every request over all organizations, for operators."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.accounts.explaining import ExplainedRequest, explain
from operis_api.admin.naming import read_names
from operis_api.admin.schemas import AdminRequest, Overview
from operis_api.kit.lists import After, Limit
from operis_api.kit.money import format_nano
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, encode_cursor
from operis_api.ledger.wallets import sum_wallets
from operis_api.usage.presenting import add_up, show_bucket, show_request
from operis_api.usage.records import Filters, RecordRow, list_records, read_record, sum_usage
from operis_api.usage.schemas import Outcome
from operis_db.catalog import Upstream
from operis_db.people import Organization, User

Days = Annotated[int, QueryParameter(ge=1, le=366, description="How far the figures look back.")]


@get("/overview", opt={"permission": "admin.overview.view"}, operation_id="get_overview")
async def get_overview(session: AsyncSession, days: Days = 30) -> Overview:
    """Return revenue, cost, margin, liabilities and health; liabilities and holds are as of now."""
    now = datetime.now(UTC)
    begin = now - timedelta(days=days)
    by_day = await sum_usage(session, Filters(), begin=begin, end=now, group_by="day", timezone="UTC")
    total = add_up("total", by_day)
    wallets = await sum_wallets(session)
    users = await session.scalar(select(func.count()).select_from(User))
    sign_ups = await session.scalar(select(func.count()).select_from(User).where(User.created_at >= begin))
    return Overview(
        days=days,
        revenue=format_nano(total.charge_nano + total.loss_nano),
        upstream_cost=format_nano(total.cost_nano),
        margin=format_nano(total.charge_nano - total.cost_nano),
        platform_loss=format_nano(total.loss_nano),
        liabilities=format_nano(wallets.available_nano + wallets.held_nano),
        held=format_nano(wallets.held_nano),
        open_holds=wallets.open_holds,
        requests=total.requests,
        failed_requests=total.failed,
        estimated_requests=total.estimated,
        sign_ups=sign_ups or 0,
        users=users or 0,
        by_day=[show_bucket(part, part.bucket) for part in by_day],
    )


@get("/requests", opt={"permission": "admin.requests.view"}, operation_id="list_admin_requests")
async def list_requests(
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    organization_id: FromQuery[UUID | None] = None,
    model: Annotated[str | None, QueryParameter(max_length=128)] = None,
    outcome: FromQuery[Outcome | None] = None,
) -> Page[AdminRequest]:
    """List requests over all organizations, newest first, with what each cost us."""
    filters = Filters(organization_id=organization_id, model=model, outcome=outcome)
    before = decode_cursor(after, UUID) if after else None
    rows = await list_records(session, filters, before=before, limit=limit)
    shown = await _admin_requests(session, rows[:limit])
    following = encode_cursor(rows[limit - 1].record.id) if len(rows) > limit else None
    return Page(items=shown, next=following)


@get(
    "/requests/{organization_id:uuid}/{request_id:uuid}",
    opt={"permission": "admin.requests.view"},
    operation_id="explain_admin_request",
)
async def explain_request(
    session: AsyncSession, organization_id: FromPath[UUID], request_id: FromPath[UUID]
) -> ExplainedRequest:
    """Explain any organization's request, upstreams and their errors included."""
    return await explain(session, await read_record(session, organization_id, request_id), for_operator=True)


async def _admin_requests(session: AsyncSession, rows: Sequence[RecordRow]) -> list[AdminRequest]:
    records = [row.record for row in rows]
    organizations = await read_names(session, Organization.id, Organization.name, {r.organization_id for r in records})
    users = await read_names(session, User.id, User.email, {r.user_id for r in records})
    upstreams = await read_names(session, Upstream.id, Upstream.name, {r.upstream_id for r in records if r.upstream_id})
    return [
        AdminRequest(
            request=show_request(row),
            organization_id=row.record.organization_id,
            organization_name=organizations.get(row.record.organization_id, ""),
            user_email=users.get(row.record.user_id),
            upstream=upstreams.get(row.record.upstream_id) if row.record.upstream_id else None,
            cost=None if row.record.cost_nano is None else format_nano(row.record.cost_nano),
            loss=format_nano(row.record.loss_nano),
        )
        for row in rows
    ]


router = Router("/", route_handlers=[get_overview, list_requests, explain_request])
