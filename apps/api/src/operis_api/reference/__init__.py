"""The API reference at /docs: RapiDoc (MIT, npm package rapidoc 9.3.8), served from here so that no CDN is asked."""

from importlib.resources import files
from typing import cast

from litestar import Response, get
from litestar.datastructures import State

from operis_api.kit.errors import NotFound
from operis_api.settings import Settings

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Operis API</title>
<script type="module" src="/docs/rapidoc-min.js"></script>
</head>
<body>
<rapi-doc spec-url="/openapi.json" load-fonts="false" theme="light" render-style="read" show-header="false"
  regular-font="Inter, system-ui, sans-serif" mono-font="ui-monospace, monospace" primary-color="#2563eb"
  allow-try="true" schema-style="table" use-path-in-nav-bar="true"></rapi-doc>
</body>
</html>
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@get("/docs", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def get_reference(state: State) -> Response[str]:
    """Show the API reference."""
    refuse_unless_exposed(state)
    return Response(_PAGE, media_type="text/html", headers={"content-security-policy": _POLICY})


@get("/docs/rapidoc-min.js", opt={"public": True}, include_in_schema=False, sync_to_thread=True)
def get_reference_script(state: State) -> Response[bytes]:
    """Return the reference's one script."""
    refuse_unless_exposed(state)
    script = files("operis_api.reference").joinpath("rapidoc-min.js").read_bytes()
    return Response(script, media_type="text/javascript", headers={"cache-control": "public, max-age=3600"})


def refuse_unless_exposed(state: State) -> None:
    """Raise `NotFound` where the operator has not opened the documentation: production's default."""
    if not cast("Settings", state["settings"]).docs_exposed:
        raise NotFound("The reference is not open here; the operator can set OPERIS_DOCS=1.")
