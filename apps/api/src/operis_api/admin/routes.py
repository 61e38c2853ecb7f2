"""The back office's router: every route below it declares an operator's permission."""

from litestar import Router

from operis_api.admin import (
    alerts,
    audit,
    books,
    corrections,
    impersonating,
    invitations,
    keys,
    leaving,
    models,
    multipliers,
    operators,
    organizations,
    overview,
    plans,
    prices,
    serving,
    upstreams,
    users,
)

router = Router(
    "/admin",
    route_handlers=[
        overview.router,
        users.router,
        operators.router,
        invitations.router,
        impersonating.router,
        leaving.router,
        organizations.router,
        audit.router,
        keys.router,
        corrections.router,
        books.router,
        alerts.router,
        plans.router,
        upstreams.router,
        models.router,
        serving.router,
        prices.router,
        multipliers.router,
    ],
    tags=["admin"],
)
