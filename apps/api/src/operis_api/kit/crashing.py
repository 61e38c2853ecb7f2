"""Named places where this process dies at once, as in a power cut, when a drill armed it: see docs/adr/0019.

Unarmed, which it always is outside of drills, a place costs one comparison with None.
"""

import os
import signal


class _Crash:
    def __init__(self, place: str, visits: int) -> None:
        self._place = place
        self._visits_left = visits

    def visit(self, place: str) -> None:
        if place != self._place:
            return
        self._visits_left -= 1
        if self._visits_left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


_armed: _Crash | None = None


def arm_crash(place: str, visits: int) -> None:
    """Let this process die when it comes to `place` for the `visits`-th time."""
    global _armed  # noqa: PLW0603  # one process, one crash: places must find it without being handed it
    _armed = _Crash(place, visits)


def crash_here(place: str) -> None:
    if _armed is not None:
        _armed.visit(place)
