"""What accounts refuse."""

from operis_api.kit.errors import DomainError


class EmailTaken(DomainError):
    status, code, title = 409, "email_taken", "There is an account with this address."


class RegistrationClosed(DomainError):
    status, code, title = 403, "registration_closed", "Sign-up is not open here."


class DomainNotAllowed(DomainError):
    status, code, title = 403, "domain_not_allowed", "Sign-up is for addresses of certain domains."
