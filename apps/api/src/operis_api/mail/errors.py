"""What mail refuses."""

from operis_api.kit.errors import DomainError


class InvalidEmail(DomainError):
    status, code, title = 422, "invalid_email", "This is not a mail address."
