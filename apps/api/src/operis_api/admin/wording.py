"""What operators say of a change: always why."""

from operis_api.kit.errors import InvalidField

REASON_CHARACTERS_MAX = 500


def clean_reason(reason: str) -> str:
    shown = reason.strip()
    if not 0 < len(shown) <= REASON_CHARACTERS_MAX:
        raise InvalidField("reason", f"say why in 1 to {REASON_CHARACTERS_MAX} characters.")
    return shown
