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
