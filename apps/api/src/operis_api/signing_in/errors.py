"""What signing in refuses."""

from operis_api.kit.errors import DomainError


class InvalidCredentials(DomainError):
    status, code, title = 401, "invalid_credentials", "Address or password is wrong."


class EmailUnverified(DomainError):
    status, code, title = 403, "email_unverified", "The address is not verified yet."


class UserSuspended(DomainError):
    status, code, title = 403, "suspended", "The account is suspended."


class OperatorNotImpersonated(DomainError):
    status, code, title = 409, "operator_not_impersonated", "Nobody acts as an operator but themselves."


class ErasurePending(DomainError):
    status, code, title = 403, "erasure_pending", "The account is about to be erased."


class RefreshRefused(DomainError):
    status, code, title = 401, "invalid_refresh_token", "The session has ended; sign in again."


class StepUpRequired(DomainError):
    status, code, title = 403, "step_up_required", "Show once more who you are."
