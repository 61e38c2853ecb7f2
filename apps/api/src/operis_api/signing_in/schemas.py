"""Wire shapes of signing in and out."""

import msgspec


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str


class RefreshBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str


class LogoutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str | None = None
