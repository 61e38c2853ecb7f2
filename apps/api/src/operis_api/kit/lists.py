"""The two query parameters of every list."""

from typing import Annotated

from litestar.params import QueryParameter

from operis_api.kit.paging import LIMIT_MAX

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description=f"Rows of a page, 1 to {LIMIT_MAX}.")]
After = Annotated[str | None, QueryParameter(description="`next` of the page before.", max_length=500)]
