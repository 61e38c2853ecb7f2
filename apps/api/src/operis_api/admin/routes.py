"""The back office's router: every route below it needs an administrator."""

from litestar import Router

from operis_api.access.identity import require_admin
from operis_api.admin import books, corrections, models, overview, plans, upstreams, users

router = Router(
    "/admin",
    route_handlers=[
        overview.router,
        users.router,
        corrections.router,
        books.router,
        plans.router,
        upstreams.router,
        models.router,
    ],
    guards=[require_admin],
    tags=["admin"],
)
