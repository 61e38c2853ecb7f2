"""The two query parameters of every list."""

from typing import Annotated

from litestar.params import Parameter

from operis_api.kit.paging import LIMIT_MAX

Limit = Annotated[int, Parameter(ge=1, le=LIMIT_MAX, description=f"Rows of a page, 1 to {LIMIT_MAX}.")]
After = Annotated[str | None, Parameter(description="`next` of the page before.", max_length=500)]
