"""Reading what a form sent. Sockets send what they like, so nothing is taken for granted."""

from operis_dashboard.formatting import MINUS, NOTHING

FIELD_CHARACTERS_MAX = 1024


def read_field(form: object, name: str, *, characters_max: int = FIELD_CHARACTERS_MAX) -> str:
    """Return a text field, cut to a sane length; empty for anything that is not text."""
    value = form.get(name) if isinstance(form, dict) else None
    return value[:characters_max] if isinstance(value, str) else ""


def read_amount(form: object, name: str) -> str:
    """Return an amount with an ordinary minus; whether it is one, the API says.

    Commas stay, to be refused: one reader's thousand is another's one.
    """
    return read_field(form, name).strip().replace(MINUS, "-").replace(NOTHING, "-")
