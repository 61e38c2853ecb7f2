"""What credentials refuse."""

from operis_api.kit.errors import DomainError


class WeakPassword(DomainError):
    status, code, title = 422, "weak_password", "This password is too easy to guess."


class LinkRefused(DomainError):
    status, code, title = 400, "invalid_link", "This link was used, has expired, or was replaced by a newer one."


class InvalidCode(DomainError):
    status, code, title = 401, "invalid_code", "This code is wrong, too old, or was used before."


class InvalidPasskey(DomainError):
    status, code, title = 401, "invalid_passkey", "This passkey was not accepted."


class PasskeyKnown(DomainError):
    status, code, title = 409, "passkey_known", "This passkey is registered already."


class TooManyPasskeys(DomainError):
    status, code, title = 409, "too_many_passkeys", "The user has as many passkeys as they may have."


class SecondFactorEnabled(DomainError):
    status, code, title = 409, "second_factor_enabled", "The second factor is on already."


class SecondFactorMissing(DomainError):
    status, code, title = 409, "second_factor_missing", "There is no second factor to do this with."
