"""What leaving refuses."""

from operis_api.kit.errors import DomainError


class OwnsOrganizations(DomainError):
    status, code, title = 409, "owns_organizations", "An organization with other members would lose its owner."


class StillOperator(DomainError):
    status, code, title = 409, "still_operator", "An operator gives the role up first."


class NotErasing(DomainError):
    status, code, title = 409, "not_erasing", "There is no erasure to undo."


class Erased(DomainError):
    status, code, title = 409, "erased", "This person was erased."
