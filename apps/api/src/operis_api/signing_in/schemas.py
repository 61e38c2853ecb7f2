"""Wire shapes of signing in and out, sessions and second factors."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

SecondFactorMethod = Literal["totp", "passkey", "recovery_code"]


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str
    device_token: str | None = None


class MfaBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mfa_token: str
    code: str
    device_token: str | None = None


class StepUpBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: str | None = None
    code: str | None = None
    credential: dict[str, object] | None = None
    """A passkey's answer to the options of `begin_passkey_step_up`."""


class BeginPasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mfa_token: str | None = None
    """Of a sign-in that waits for its second factor; without one the passkey signs in alone."""


class PasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: dict[str, object]
    """What `navigator.credentials.get` answered, as JSON."""
    mfa_token: str | None = None
    device_token: str | None = None


class NewPasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    credential: dict[str, object]
    """What `navigator.credentials.create` answered, as JSON."""


class NamePasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class PasskeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    public_key: dict[str, object]
    """For `navigator.credentials`, as JSON."""


class PasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


class AddedPasskey(msgspec.Struct, frozen=True, kw_only=True):
    passkey: PasskeyView
    recovery_codes: list[str]
    """Shown this once, with the first second factor; empty otherwise."""


class RefreshBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str


class LogoutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str | None = None


class NameSessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str


class SignIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of a new session; or that a second factor is asked for, and the token to show it with."""

    access_token: str = ""
    expires_in: int = 0
    refresh_token: str = ""
    device_token: str = ""
    token_type: str = ""
    mfa_required: bool = False
    mfa_token: str = ""
    mfa_methods: list[SecondFactorMethod] = []
    password_required: bool = False
    """An account has the address of an identity: its password links the two."""
    link_token: str = ""


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str | None
    address: str | None
    agent: str | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


class SecondFactorView(msgspec.Struct, frozen=True, kw_only=True):
    enabled_at: datetime | None
    recovery_codes_left: int
    passkeys: int


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    recovery_codes: list[str]
