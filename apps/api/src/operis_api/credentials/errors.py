"""What credentials refuse."""

from operis_api.kit.errors import DomainError


class WeakPassword(DomainError):
    status, code, title = 422, "weak_password", "This password is too easy to guess."


class LinkRefused(DomainError):
    status, code, title = 400, "invalid_link", "This link was used, has expired, or was replaced by a newer one."
