"""From a checked password to a cookie: the ticket, and the form that carries it."""

import json
from urllib.parse import urlencode

import reflex as rx
from reflex.event import EventSpec

from operis_client.models import Departure
from operis_dashboard import runtime
from operis_dashboard.session import Session, safe_path

_POST_TICKET = """(() => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = %s;
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "ticket";
  field.value = %s;
  form.append(field);
  document.body.append(form);
  form.submit();
})()"""


def enter(session: Session, next_path: str | None) -> EventSpec:
    """Return the event that makes the browser fetch its cookie and go on to `next_path`."""
    ticket = runtime.tickets.issue(session, safe_path(next_path))
    return rx.call_script(_POST_TICKET % (json.dumps("/_auth/callback"), json.dumps(ticket)))


def depart(departure: Departure, next_path: str | None) -> EventSpec:
    """Return the event that sends the browser to an identity provider, to go on to `next_path` afterwards."""
    ticket = runtime.departures.issue(departure, safe_path(next_path))
    return rx.call_script(_POST_TICKET % (json.dumps("/_auth/depart"), json.dumps(ticket)))


def next_path(state: rx.State) -> str | None:
    """Return where the visitor wanted to go before they were asked to sign in."""
    return state.router.url.query_parameters.get("next")


def onward(state: rx.State) -> str:
    """Return the query that keeps where the visitor wants to go, for links between the entrances."""
    wanted = next_path(state)
    return f"?{urlencode({'next': wanted})}" if wanted and safe_path(wanted) == wanted else ""
