"""Passkeys in the viewer's browser: the script that asks for one, and what it answers."""

import json
from typing import Any, cast

import reflex as rx
from reflex.event import EventSpec

from operis_client.models import PasskeyOptions

_FAILURES = {
    "NotAllowedError": "passkey.given_up",
    "AbortError": "passkey.given_up",
    "InvalidStateError": "passkey.known",
    "NotSupportedError": "passkey.unsupported",
    "SecurityError": "passkey.elsewhere",
}


def make_passkey(options: PasskeyOptions, then: Any) -> EventSpec:
    """Return the event that lets the device make a passkey; the handler `then` gets what `read_answer` reads."""
    return _ask_device(options, "true", then)


def show_passkey(options: PasskeyOptions, then: Any) -> EventSpec:
    """Return the event that lets the device show a passkey; the handler `then` gets what `read_answer` reads."""
    return _ask_device(options, "false", then)


def read_answer(answer: object) -> tuple[dict[str, object], str]:
    """Return the credential, or nothing and the catalogue key of why there is none. Anybody can send an answer."""
    given = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    credential = given.get("credential")
    if isinstance(credential, dict):
        return cast("dict[str, object]", credential), ""
    return {}, _FAILURES.get(str(given.get("failure")), "passkey.failed")


def _ask_device(options: PasskeyOptions, is_new: str, then: Any) -> EventSpec:
    asked = json.dumps(options.public_key)  # ASCII alone: a name in it ends no script
    return rx.call_script(f"globalThis.operisPasskey({asked}, {is_new})", callback=then)
