"""Every text of the dashboard, one catalogue per language."""

from operis_dashboard.texts.en import ENGLISH
from operis_dashboard.texts.vi import VIETNAMESE

LANGUAGES = {"en": ENGLISH, "vi": VIETNAMESE}


def say(language: str, key: str, **facts: object) -> str:
    """Return a text with its facts filled in."""
    return LANGUAGES.get(language, ENGLISH)[key].format(**facts)
