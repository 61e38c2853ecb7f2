"""One's passkeys, on the page of the settings that has the second factor: listed, added by a name, removed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_client.models import PasskeyView
from operis_dashboard.asking_devices import make_passkey, read_answer
from operis_dashboard.formatting import Shown, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.proving import Proving


@dataclass(frozen=True)
class PasskeyRow:
    id: str = ""
    name: str = ""
    added: Shown = default(default_factory=Shown)
    last_used: Shown = default(default_factory=Shown)


class Passkeys(Proving, mixin=True):
    passkeys: list[PasskeyRow] = []
    passkey_busy: bool = False
    passkey_failure: str = ""
    naming_passkey: bool = False
    passkey_name: str = ""
    """Of the one that is being added."""
    leaving_passkey: PasskeyRow = PasskeyRow()
    """Which one a dialog asks about."""
    codes: list[str] = []
    """Recovery codes, the one time that they can be seen."""

    @rx.event
    def open_passkey(self, opened: bool) -> None:
        self.naming_passkey, self.passkey_name = bool(opened), ""
        self.passkey_busy, self.passkey_failure = False, ""

    @rx.event
    def name_passkey(self, form: dict[str, Any]) -> Any:
        self.passkey_name = read_field(form, "passkey_name").strip()
        return type(self).add_passkey

    @rx.event
    async def add_passkey(self) -> AsyncGenerator[Any, None]:
        """Let the device make a passkey by the name that was given."""
        self.passkey_busy, self.passkey_failure = True, ""
        yield
        try:
            options = await self._ask(lambda api: api.begin_passkey())
        except OperisError as error:
            await self._refuse_passkey(error, "add_passkey")
            return
        yield make_passkey(options, type(self).keep_passkey)

    @rx.event
    async def keep_passkey(self, answer: dict[str, Any]) -> AsyncGenerator[Any, None]:
        credential, failure = read_answer(answer)
        if failure:
            self.passkey_busy, self.passkey_failure = False, self._say(failure)
            return
        try:
            added = await self._ask(lambda api: api.add_passkey(name=self.passkey_name, credential=credential))
        except OperisError as error:
            await self._refuse_passkey(error, "add_passkey")
            return
        self.passkey_busy, self.naming_passkey, self.codes = False, False, added.recovery_codes
        yield rx.toast.success(self._say("passkey.added", name=added.passkey.name))
        await self._read()

    @rx.event
    def ask_passkey(self, passkey_id: str) -> None:
        found = (row for row in self.passkeys if row.id == passkey_id)
        self.leaving_passkey, self.passkey_failure = next(found, PasskeyRow()), ""

    @rx.event
    def spare_passkey(self, _opened: bool = False) -> None:
        self.leaving_passkey = PasskeyRow()

    @rx.event
    async def remove_passkey(self) -> AsyncGenerator[Any, None]:
        leaving = self.leaving_passkey
        if not leaving.id:
            return
        self.passkey_busy, self.passkey_failure = True, ""
        yield
        try:
            await self._ask(lambda api: api.remove_passkey(leaving.id))
        except OperisError as error:
            await self._refuse_passkey(error, "remove_passkey")
            return
        self.passkey_busy, self.leaving_passkey = False, PasskeyRow()
        yield rx.toast.success(self._say("passkey.removed", name=leaving.name))
        await self._read()

    def _close_passkeys(self) -> None:
        self.naming_passkey, self.passkey_name, self.leaving_passkey = False, "", PasskeyRow()
        self.passkey_busy, self.passkey_failure = False, ""

    async def _read(self) -> None:
        """Read what the page shows."""
        raise NotImplementedError

    async def _refuse_passkey(self, error: OperisError, again: str) -> None:
        self.passkey_busy = False
        if not await self._lacks_proof(error, again):
            self.passkey_failure = self._explain(error)


def passkey_row(found: PasskeyView, writer: Writer) -> PasskeyRow:
    return PasskeyRow(found.id, found.name, writer.moment(found.created_at), writer.moment(found.last_used_at))
