"""Serves the built dashboard, without node: `python -m operis_dashboard.serve`.

Frontend and backend have to come from the same sources, so anything else than a finished build of exactly
these is refused.
"""

import os
import sys
from pathlib import Path

from operis_dashboard.build import compute_stamp, is_built
from operis_dashboard.places import app_root
from operis_dashboard.settings import SettingError, read_session_key, read_settings


def main() -> int:
    root = app_root()
    try:
        settings = read_settings(os.environ)
        read_session_key(settings)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    if not (root / "rxconfig.py").is_file():
        print(f"There is no dashboard in {root}; set OPERIS_DASHBOARD_ROOT to apps/dashboard.", file=sys.stderr)
        return 1
    if not is_built(root, compute_stamp(root)):
        print("The dashboard is not built; run: python -m operis_dashboard.build", file=sys.stderr)
        return 1
    state = settings.home / "dashboard"
    state.mkdir(parents=True, exist_ok=True)
    _point_reflex_at(state, home=settings.home)
    os.chdir(root)
    _serve(settings.host, settings.port)
    return 0


def _point_reflex_at(state: Path, *, home: Path) -> None:
    """Set what Reflex reads from the environment, before it is imported."""
    os.environ.update(
        OPERIS_HOME=str(home),  # absolute from here on: the working directory is about to change
        REFLEX_ENV_MODE="prod",
        REFLEX_USE_GRANIAN="true",
        REFLEX_TELEMETRY_ENABLED="false",
        REFLEX_CHECK_LATEST_VERSION="0",
        REFLEX_STATES_WORKDIR=str(state / "states"),
        REFLEX_DIR=str(state / "reflex"),
        REFLEX_UPLOADED_FILES_DIR=str(state / "uploads"),
        GRANIAN_WORKERS="1",  # page state and sign-in tickets live in the process
    )


def _serve(host: str, port: int) -> None:
    from reflex.utils.exec import run_granian_backend_prod  # noqa: PLC0415  # reads the environment on import
    from reflex_base import constants  # noqa: PLC0415
    from reflex_base.environment import environment  # noqa: PLC0415

    environment.REFLEX_SKIP_COMPILE.set(True)
    environment.REFLEX_MOUNT_FRONTEND_COMPILED_APP.set(True)  # internal to Reflex: checked by a test
    run_granian_backend_prod(host, port, constants.LogLevel.WARNING)


if __name__ == "__main__":
    sys.exit(main())
