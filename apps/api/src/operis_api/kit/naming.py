"""Names that people give to things."""

from operis_api.kit.errors import InvalidField

CHARACTERS_MAX = 120


def clean_name(name: str, *, field: str = "name", characters_max: int = CHARACTERS_MAX) -> str:
    """Return the name with single spaces, or raise `InvalidField` where it is empty, long or cannot be printed."""
    shown = " ".join(name.split())
    if not 0 < len(shown) <= characters_max or not shown.isprintable():
        raise InvalidField(field, f"use 1 to {characters_max} printable characters.")
    return shown
