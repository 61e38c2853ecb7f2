"""Which paths an upstream has turned out not to serve: newer endpoints are not everywhere, and nobody has to say so."""

import time

from operis_api.catalog.offers import Route

REMEMBERED_SECONDS = 600
REMEMBERED_MAX = 10_000
NOT_SERVED = {404, 405, 501}
"""What an upstream answers on a path that it does not serve."""


class MissingPaths:
    """Of one process, by upstream and model; forgotten after a while, so that an upstream may learn."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, str], float] = {}

    def has(self, route: Route, path: str) -> bool:
        return self._until.get((route.base_url, route.upstream_model, path), 0) > time.monotonic()

    def note(self, route: Route, path: str) -> None:
        if len(self._until) >= REMEMBERED_MAX:
            self._until.clear()
        self._until[route.base_url, route.upstream_model, path] = time.monotonic() + REMEMBERED_SECONDS
