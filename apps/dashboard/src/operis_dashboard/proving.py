"""Of pages that do what asks for a recent proof of who one is: the API says when, a window asks, the page goes on."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import reflex as rx

from operis_client import ApiError, AsyncOperis, OperisError
from operis_dashboard.asking_devices import read_answer, show_passkey
from operis_dashboard.forms import read_field
from operis_dashboard.viewer import Viewer


class Proving(Viewer, mixin=True):
    proof_asked: bool = False
    proof_by_code: bool = False
    """Where there is a second factor; elsewhere the password is asked for."""
    proof_by_passkey: bool = False
    """Where one of them would do as well."""
    proof_busy: bool = False
    proof_failure: str = ""

    _then: str = ""
    """The handler of this page that goes on once the proof is given."""

    async def _lacks_proof(self, error: OperisError, then: str = "") -> bool:
        """Open the window if that is what the API refused for; `then` names the handler that tries again."""
        if not isinstance(error, ApiError) or error.code != "step_up_required":
            return False
        found = await self._ask(lambda api: api.get_second_factor())
        self.proof_by_passkey = found.passkeys > 0
        self.proof_by_code = found.enabled_at is not None or self.proof_by_passkey
        self.proof_asked, self.proof_failure, self._then = True, "", then
        return True

    @rx.event
    async def prove(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.proof_asked:
            return
        self.proof_busy, self.proof_failure = True, ""
        yield
        proof = read_field(form, "proof")
        if self.proof_by_code:
            yield await self._give_proof(lambda api: api.step_up(code=proof.strip()))
        else:
            yield await self._give_proof(lambda api: api.step_up(password=proof))

    @rx.event
    async def ask_proof_of_device(self) -> AsyncGenerator[Any, None]:
        if not self.proof_asked:
            return
        self.proof_busy, self.proof_failure = True, ""
        yield
        try:
            options = await self._ask(lambda api: api.begin_passkey_step_up())
        except OperisError as error:
            self.proof_busy, self.proof_failure = False, self._explain(error)
            return
        yield show_passkey(options, type(self).prove_by_device)

    @rx.event
    async def prove_by_device(self, answer: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.proof_asked:
            return
        credential, failure = read_answer(answer)
        if failure:
            self.proof_busy, self.proof_failure = False, self._say(failure)
            return
        yield await self._give_proof(lambda api: api.step_up(credential=credential))

    @rx.event
    def give_up_proof(self, _opened: bool = False) -> None:
        self.proof_asked, self.proof_busy, self._then = False, False, ""

    async def _give_proof(self, call: Callable[[AsyncOperis], Awaitable[None]]) -> Any:
        """Give the proof; returns the handler that goes on, if there is one and the proof was taken."""
        try:
            await self._ask(call)
        except OperisError as error:
            self.proof_failure = self._explain(error)
            return None
        finally:
            self.proof_busy = False
        self.proof_asked = False
        return getattr(type(self), self._then) if self._then else None
