"""What we change in the frontend that Reflex builds."""

import re
from pathlib import Path
from typing import Any

from reflex_base.plugins import Plugin

_ORIGIN = r"(globalThis.location?.origin??`http://localhost`)"


class SameOrigin(Plugin):
    """Lets the built frontend talk to the origin that served it.

    Reflex bakes the backend's absolute address into one small file. One build has to serve every host and
    port, so the address is taken from the page's own; a changed layout stops the build.
    """

    def post_build(self, **context: Any) -> None:
        static: Path = context["static_dir"]
        files = list(static.glob("assets/reflex-env-*.js"))
        if len(files) != 1:
            raise RuntimeError(f"Reflex changed its build layout: {len(files)} files match assets/reflex-env-*.js.")
        code = files[0].read_text()
        code, pages = re.subn(r"`http://localhost:\d+(/[^`]*)`", rf"{_ORIGIN}+`\1`", code)
        code, sockets = re.subn(r"`ws://localhost:\d+(/[^`]*)`", rf"{_ORIGIN}.replace(/^http/,`ws`)+`\1`", code)
        if not pages or not sockets:
            raise RuntimeError(f"Reflex changed its build layout: no backend address in {files[0].name}.")
        files[0].write_text(code)
