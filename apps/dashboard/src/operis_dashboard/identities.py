"""One's identities at providers, on the page of the settings about signing in: listed, linked, unlinked."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_client.models import IdentityView
from operis_dashboard import runtime
from operis_dashboard.formatting import Shown
from operis_dashboard.proving import Proving
from operis_dashboard.signing_in import depart


@dataclass(frozen=True)
class IdentityRow:
    """A provider, and who the user is there; `id` is empty where they are nobody yet."""

    provider: str = ""
    title: str = ""
    id: str = ""
    email: str = ""
    linked: Shown = default(default_factory=Shown)


class Identities(Proving, mixin=True):
    identities: list[IdentityRow] = []
    identity_busy: bool = False
    identity_failure: str = ""
    leaving_identity: IdentityRow = IdentityRow()
    """Which one a dialog asks about."""

    _linking: str = ""

    @rx.event
    def choose_provider(self, provider: str) -> Any:
        self._linking = str(provider)
        return type(self).link_identity

    @rx.event
    async def link_identity(self) -> AsyncGenerator[Any, None]:
        """Send the browser to the provider that was chosen."""
        if self._linking not in {row.provider for row in self.identities}:
            return
        self.identity_busy = True
        yield
        try:
            departure = await self._ask(lambda api: api.begin_link(self._linking))
        except OperisError as error:
            if not await self._lacks_proof(error, "link_identity"):
                yield rx.toast.error(self._explain(error))
            return
        finally:
            self.identity_busy = False
        yield depart(departure, "/settings/security")

    @rx.event
    def ask_identity(self, identity_id: str) -> None:
        found = (row for row in self.identities if row.id and row.id == identity_id)
        self.leaving_identity, self.identity_failure = next(found, IdentityRow()), ""

    @rx.event
    def spare_identity(self, _opened: bool = False) -> None:
        self.leaving_identity = IdentityRow()

    @rx.event
    async def unlink_identity(self) -> AsyncGenerator[Any, None]:
        leaving = self.leaving_identity
        if not leaving.id:
            return
        self.identity_busy, self.identity_failure = True, ""
        yield
        try:
            await self._ask(lambda api: api.unlink_identity(leaving.id))
        except OperisError as error:
            if not await self._lacks_proof(error, "unlink_identity"):
                self.identity_failure = self._explain(error)
            return
        finally:
            self.identity_busy = False
        self.leaving_identity = IdentityRow()
        yield rx.toast.success(self._say("identity.unlinked", title=leaving.title))
        await self._read_identities()

    async def _read_identities(self) -> None:
        """Read providers and identities; an operator who has to enrol a second factor first sees none."""
        providers = {
            one.name: one.title for one in await self._ask_as_visitor(lambda api: api.list_identity_providers())
        }
        try:
            linked = {one.provider: one for one in await self._ask(lambda api: api.list_identities())}
        except runtime.SecondFactorMissingError:
            providers, linked = {}, {}
        titles = {**providers, **{name: one.title for name, one in linked.items()}}
        self.identities = [self._identity_row(name, title, linked.get(name)) for name, title in titles.items()]

    def _identity_row(self, provider: str, title: str, found: IdentityView | None) -> IdentityRow:
        if found is None:
            return IdentityRow(provider, title)
        return IdentityRow(provider, title, found.id, found.email or "", self._writer.moment(found.created_at))
