"""What throttles refuse."""

from operis_api.kit.errors import DomainError


class TooManyAttempts(DomainError):
    status, code, title = 429, "too_many_attempts", "Too many attempts; wait before the next one."
