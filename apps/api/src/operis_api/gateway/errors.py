"""What the gateway refuses."""

from uuid import UUID

from operis_api.kit.errors import DomainError


class InvalidBody(DomainError):
    status, code, title = 400, "invalid_request", "The request's body cannot be read."


class BodyTooLarge(DomainError):
    status, code, title = 413, "body_too_large", "The request's body is too large."


class UnknownModel(DomainError):
    status, code, title = 404, "model_not_found", "There is no such model."


class DialectNotServed(DomainError):
    """The model is there, but none of its upstreams speaks the dialect it was asked in."""

    status, code, title = 400, "dialect_not_served", "The model is not served in this dialect."


class NotTranslatable(DomainError):
    """The model's upstreams speak another dialect, in which a field of the request cannot be said."""

    status, code, title = 400, "not_translatable", "The model's provider speaks a dialect that cannot say this."

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field}: the model's provider speaks another dialect, which cannot express it. Leave it out, or choose "
            f"another model.",
            param=field,
        )


class NotOffered(DomainError):
    """A field asks for something that the dialect knows and this gateway does not do."""

    status, code, title = 400, "not_offered", "This is not offered here."

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}.", param=field)


class AnswerNotKept(DomainError):
    """The Idempotency-Key was used, and its answer cannot be told again."""

    status, code, title = 409, "answer_not_kept", "The request was made, and its answer was not kept."
    repeatable = False

    def __init__(self, request_id: UUID, *, streamed: bool) -> None:
        why = "Streams are not kept" if streamed else "It was too large to keep"
        super().__init__(
            f"{why}; GET /api/v1/requests/{request_id} tells what was charged. Use a new Idempotency-Key to ask again.",
            first_request_id=str(request_id),
        )


class CallerSuspended(DomainError):
    status, code, title = 403, "suspended", "The account is suspended."


class UpstreamFailed(DomainError):
    status, code, title = 502, "upstream_error", "The model's provider failed."


class UpstreamRefused(DomainError):
    """The provider says the request itself is wrong; its own words, cleaned, are the detail."""

    status, code, title = 400, "invalid_request", "The model's provider refused the request."


class UpstreamBusy(DomainError):
    status, code, title = 429, "upstream_rate_limited", "The model's provider is busy."


class Overloaded(DomainError):
    status, code, title = 503, "overloaded", "The catalog or the key changes too fast; try again."


class BodiesTooMany(DomainError):
    status, code, title = 503, "bodies_too_many", "The bodies of requests in progress fill what is kept for them."


class MethodNotAllowed(DomainError):
    status, code, title = 405, "method_not_allowed", "This method is not offered here."


class KeyRequired(DomainError):
    status, code, title = 400, "api_key_required", "This needs an API key."


class InternalError(DomainError):
    status, code, title = 500, "internal_error", "Something went wrong on our side."


class StreamTooLong(DomainError):
    status, code, title = (
        504,
        "stream_too_long",
        "The stream reached its longest time or size; it is charged so far.",
    )


class SettlementUnknown(DomainError):
    status, code, title = (
        503,
        "settlement_unknown",
        "The call was made, but the database went away before it was settled.",
    )
    repeatable = False

    def __init__(self) -> None:
        super().__init__(
            "What it used is charged at most once; GET /api/v1/requests tells. Trying again is a new call."
        )
