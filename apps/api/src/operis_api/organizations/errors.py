"""What organizations refuse."""

from operis_api.kit.errors import DomainError


class PersonalOrganization(DomainError):
    status, code, title = 409, "personal_organization", "A personal organization is its user's alone."


class OwnerStays(DomainError):
    status, code, title = 409, "owner_stays", "An organization always has its owner."


class AlreadyMember(DomainError):
    status, code, title = 409, "already_member", "This user is a member already."


class AlreadyInvited(DomainError):
    status, code, title = 409, "already_invited", "This address has an open invitation already."


class TooManyOrganizations(DomainError):
    status, code, title = 409, "too_many_organizations", "You own as many organizations as you may."


class TooManyMembers(DomainError):
    status, code, title = 409, "too_many_members", "The organization has as many members as it may have."


class InvitationOver(DomainError):
    status, code, title = 409, "invitation_over", "This invitation cannot be accepted any more."


class InvitedAnother(DomainError):
    status, code, title = 403, "invited_another", "This invitation is for another address."


class CallsRunning(DomainError):
    status, code, title = 409, "calls_running", "The organization has calls in progress."


class CreditsLeft(DomainError):
    status, code, title = 409, "credits_left", "The organization's wallet still holds credits of its own."
