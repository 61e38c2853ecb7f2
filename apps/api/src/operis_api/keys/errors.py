"""What keys refuse."""

from operis_api.kit.errors import DomainError


class InvalidApiKey(DomainError):
    status, code, title = 401, "invalid_api_key", "The API key is not valid."


class OwnerSuspended(DomainError):
    status, code, title = 403, "suspended", "The account is suspended."


class TooManyKeys(DomainError):
    status, code, title = 409, "too_many_keys", "The organization has as many keys as it may have."


class ModelNotAllowed(DomainError):
    status, code, title = 403, "model_not_allowed", "This API key may not use the model."


class KeyDisabled(DomainError):
    status, code, title = 403, "key_disabled", "The API key is disabled."


class ScopeRequired(DomainError):
    status, code, title = 403, "scope_required", "This API key has not the scope that this needs."


class AddressNotAllowed(DomainError):
    status, code, title = 403, "address_not_allowed", "This API key may not be used from this address."


class BeyondOwnRights(DomainError):
    """A key, or a member by their role, wanted to give a key what they have not themselves."""

    status, code, title = 403, "beyond_own_rights", "Nobody may give a key more than they have."


class KeyRevoked(DomainError):
    status, code, title = 409, "key_revoked", "The API key is revoked for good."


class DisabledByOperator(DomainError):
    status, code, title = 403, "disabled_by_operator", "The operator disabled this API key."


class TooManySecrets(DomainError):
    status, code, title = 409, "too_many_secrets", "Too many old secrets of this API key are still in force."
