"""The base of pages that mails lead to: a link's token is read from its cookie and never kept in state."""

import reflex as rx
from reflex.event import EventSpec

from operis_dashboard.mailed_links import read_token
from operis_dashboard.session import fingerprint
from operis_dashboard.viewer import Viewer

_FORGET = 'fetch("/_auth/link-used", {method: "POST"})'


class LinkFollower(Viewer):
    _spent: str = ""
    """Fingerprint of the token that was used or refused; the open socket still names its cookie."""

    def _token(self, path: str) -> str:
        """Return the token that came with the link to this page; empty where none is left to use."""
        token = read_token(self.router.headers.cookie, path)
        return "" if fingerprint(token) == self._spent else token

    def _spend(self, token: str) -> EventSpec:
        """Return the event that drops the tokens from the browser."""
        self._spent = fingerprint(token)
        return rx.call_script(_FORGET)
