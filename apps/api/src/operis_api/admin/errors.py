"""What the back office refuses."""

from operis_api.kit.errors import DomainError


class NameTaken(DomainError):
    status, code, title = 409, "name_taken", "There is one by that name already."


class UpstreamFixed(DomainError):
    status, code, title = 409, "built_in", "What is built in cannot be changed this way."


class PriceExists(DomainError):
    status, code, title = 409, "price_exists", "The model has a price from that moment on already."


class ImportChanged(DomainError):
    status, code, title = 409, "import_changed", "This is not the import that was reviewed."


class LastSuperadmin(DomainError):
    status, code, title = 409, "last_superadmin", "The platform always has a superadmin."


class OrganizationDeleted(DomainError):
    status, code, title = 409, "organization_deleted", "The organization was deleted."


class NotYourself(DomainError):
    status, code, title = 409, "not_yourself", "You cannot do this to your own account."
