"""Texts inside views: the page holds both languages and shows the viewer's."""

import reflex as rx

from operis_dashboard.texts import LANGUAGES
from operis_dashboard.viewer import Viewer


def t(key: str, **facts: object) -> rx.Var[str]:
    """Return a catalogue text as a var; facts may be vars too."""
    english, vietnamese = (LANGUAGES[language][key].format(**facts) for language in ("en", "vi"))
    return rx.cond(Viewer.vietnamese, vietnamese, english)
