"""What accounts refuse."""

from operis_api.kit.errors import DomainError


class EmailTaken(DomainError):
    status, code, title = 409, "email_taken", "There is an account with this address."


class InvalidEmail(DomainError):
    status, code, title = 422, "invalid_email", "This is not a mail address."


class WeakPassword(DomainError):
    status, code, title = 422, "weak_password", "This password is too easy to guess."


class RegistrationClosed(DomainError):
    status, code, title = 403, "registration_closed", "Sign-up is not open here."


class InvalidCredentials(DomainError):
    status, code, title = 401, "invalid_credentials", "Address or password is wrong."


class EmailUnverified(DomainError):
    status, code, title = 403, "email_unverified", "The address is not verified yet."


class UserSuspended(DomainError):
    status, code, title = 403, "suspended", "The account is suspended."


class RefreshRefused(DomainError):
    status, code, title = 401, "invalid_refresh_token", "The session has ended; sign in again."
