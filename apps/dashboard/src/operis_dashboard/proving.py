"""Of pages that do what asks for a recent proof of who one is: the API says when, a window asks, the page goes on."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard.forms import read_field
from operis_dashboard.viewer import Viewer


class Proving(Viewer, mixin=True):
    proof_asked: bool = False
    proof_by_code: bool = False
    """Where there is a second factor; elsewhere the password is asked for."""
    proof_busy: bool = False
    proof_failure: str = ""

    _then: str = ""
    """The handler of this page that goes on once the proof is given."""

    async def _lacks_proof(self, error: OperisError, then: str = "") -> bool:
        """Open the window if that is what the API refused for; `then` names the handler that tries again."""
        if not isinstance(error, ApiError) or error.code != "step_up_required":
            return False
        self.proof_by_code = (await self._ask(lambda api: api.get_second_factor())).enabled_at is not None
        self.proof_asked, self.proof_failure, self._then = True, "", then
        return True

    @rx.event
    async def prove(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.proof_asked:
            return
        self.proof_busy, self.proof_failure = True, ""
        yield
        proof = read_field(form, "proof")
        try:
            if self.proof_by_code:
                await self._ask(lambda api: api.step_up(code=proof.strip()))
            else:
                await self._ask(lambda api: api.step_up(password=proof))
        except OperisError as error:
            self.proof_failure = self._explain(error)
            return
        finally:
            self.proof_busy = False
        self.proof_asked = False
        if self._then:
            yield getattr(type(self), self._then)

    @rx.event
    def give_up_proof(self, _opened: bool = False) -> None:
        self.proof_asked, self._then = False, ""
