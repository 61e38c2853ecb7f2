"""Where the dashboard's files lie: the folder with rxconfig.py, assets and the built frontend."""

import os
from pathlib import Path


def app_root() -> Path:
    """Return `apps/dashboard`: beside this package's source, or where OPERIS_DASHBOARD_ROOT says.

    An image that installs the package without its source tree sets the variable.
    """
    named = os.environ.get("OPERIS_DASHBOARD_ROOT")
    return Path(named).absolute() if named else Path(__file__).resolve().parents[2]


def static_folder(root: Path) -> Path:
    return root / ".web" / "build" / "client"
