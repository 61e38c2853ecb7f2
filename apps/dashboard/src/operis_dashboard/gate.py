"""Who may run which event. Reflex lets any socket call any public method of any state: everything passes here.

The rule is to refuse: an event runs for a live session, or because its name stands in a list below. Whether
this user may do it to these rows is the API's decision, taken on every call.
"""

from typing import Any, Literal

import reflex as rx
from reflex.state import BaseState, StateUpdate
from reflex_base.event import Event
from reflex_base.registry import RegistrationContext

from operis_dashboard import runtime
from operis_dashboard.session import Session, binding, read_cookie
from operis_dashboard.viewer import Viewer

Access = Literal["internal", "public", "user", "admin", "closed"]

INTERNAL = frozenset(
    {
        "reflex.state.State.hydrate",
        "reflex.state.State.hydrate_and_load",
        "reflex.state.State.set_is_hydrated",
        "reflex.state.OnLoadInternalState.on_load_internal",
        "reflex.state.OnLoadInternalState.set_is_hydrated",
        "reflex.state.UpdateVarsInternalState.update_vars_internal",
        "reflex.state.FrontendEventExceptionState.handle_frontend_exception",
    }
)
"""What the framework sends for every page. State is emptied before these when the session is another."""

PUBLIC = frozenset(
    {
        "operis_dashboard.viewer.Viewer.choose_language",
        "operis_dashboard.pages.login.Login.load",
        "operis_dashboard.pages.login.Login.submit",
        "operis_dashboard.pages.login.Login.submit_code",
        "operis_dashboard.pages.login.Login.ask_device",
        "operis_dashboard.pages.login.Login.submit_passkey",
        "operis_dashboard.pages.login.Login.leave",
        "operis_dashboard.pages.login.Login.come_back",
        "operis_dashboard.pages.login.Login.submit_owner",
        "operis_dashboard.pages.register.Register.load",
        "operis_dashboard.pages.register.Register.submit",
        "operis_dashboard.pages.verify_email.VerifyEmail.load",
        "operis_dashboard.pages.verify_email.VerifyEmail.use",
        "operis_dashboard.pages.verify_email.VerifyEmail.submit",
        "operis_dashboard.pages.forgot_password.ForgotPassword.load",
        "operis_dashboard.pages.forgot_password.ForgotPassword.submit",
        "operis_dashboard.pages.reset_password.ResetPassword.load",
        "operis_dashboard.pages.reset_password.ResetPassword.submit",
        "operis_dashboard.pages.invitation.InvitationPage.load",
        "operis_dashboard.pages.confirm_address.ConfirmAddress.load",
        "operis_dashboard.pages.confirm_address.ConfirmAddress.use",
        "operis_dashboard.pages.undo_address.UndoAddress.load",
        "operis_dashboard.pages.undo_address.UndoAddress.use",
        "operis_dashboard.pages.mailbox.Mailbox.load",
        "operis_dashboard.pages.mailbox.Mailbox.turn_page",
    }
)
"""What a visitor without a session may run."""

_ADMIN_PAGES = "operis_dashboard.pages.admin_"
_OURS = "operis_dashboard."


class Gate(rx.Middleware):
    """Runs before every event, background ones and page loads included."""

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:  # noqa: ARG002  # Reflex names them
        """Return None to let the event run, or the update that is sent instead."""
        cookies = state.router_data.get("headers", {}).get("cookie")
        session_id = read_cookie(cookies, runtime.cookie_name())
        session = runtime.sessions().find(session_id)
        await _bind(state, session_id if session else None, session)
        access = access_of(event.name)
        if access in {"internal", "public"} or (
            session and (access == "user" or (access == "admin" and session.admin))
        ):
            return None
        return StateUpdate(events=Event.from_event_type([rx.redirect("/" if session else "/login")]))


def access_of(event_name: str) -> Access:
    """Return who may run an event; `closed` for one that is neither ours nor needed by the framework."""
    registered = RegistrationContext.get().event_handlers.get(event_name)
    if registered is None or not registered.states:
        return "closed"
    owner = registered.states[0]
    name = f"{owner.__module__}.{owner.__qualname__}.{event_name.rpartition('.')[2]}"
    if name.endswith(".setvar"):
        return "closed"  # the framework's way to call setters by name; our pages have none
    if name in INTERNAL:
        return "internal"
    if name in PUBLIC:
        return "public"
    if name.startswith(_ADMIN_PAGES):
        return "admin"
    return "user" if name.startswith(_OURS) else "closed"


async def _bind(state: BaseState, session_id: str | None, session: Session | None) -> None:
    """Tie the tab's state to session and organization, emptying it when it belonged to other ones or to none.

    The tab's own token is made in the browser and travels in URLs, so it must never be enough to read what
    an earlier session left behind.
    """
    root: Any = state._get_root_state()  # pyright: ignore[reportPrivateUsage]  # Reflex offers no public way
    viewer = await root.get_state(Viewer)
    bound = binding(session_id, session)
    if viewer._bound != bound:
        root.reset()
        viewer._bound = bound
    viewer._greet(session)
