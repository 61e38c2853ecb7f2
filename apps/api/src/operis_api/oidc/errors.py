"""What signing in with a provider refuses."""

from operis_api.kit.errors import DomainError


class IdentityRefused(DomainError):
    status, code, title = 401, "identity_refused", "The identity provider's answer was not accepted."


class IdentityTaken(DomainError):
    status, code, title = 409, "identity_taken", "This identity or this provider is linked already."


class MailUnproven(DomainError):
    status, code, title = 403, "provider_mail_unproven", "The provider does not vouch for the mail address."


class ProviderFailed(DomainError):
    status, code, title = 502, "identity_provider_failed", "The identity provider does not answer as it should."
