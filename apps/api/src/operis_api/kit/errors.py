"""The base of every refusal. A slice names its own in its `errors.py`; the doors render them."""

Fact = str | int | bool | None | list[str]


class DomainError(Exception):
    """A refusal somebody outside can act on. `detail` is for people, `facts` for programs."""

    status: int = 400
    code: str = "bad_request"
    title: str = "The request cannot be carried out."
    repeatable: bool = True
    """Whether clients may send the request again by themselves, where its status has them do so."""

    def __init__(self, detail: str = "", *, retry_after_seconds: int | None = None, **facts: Fact) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after_seconds = retry_after_seconds
        self.facts = facts


class InvalidField(DomainError):
    status, code, title = 422, "invalid_field", "A field's value cannot be used."

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}", field=field)


class NotFound(DomainError):
    status, code, title = 404, "not_found", "There is nothing by that id that you may see."


class Forbidden(DomainError):
    status, code, title = 403, "forbidden", "Your role does not allow this."


class Unavailable(DomainError):
    """The database is away. Nothing was taken; trying again is safe."""

    status, code, title = 503, "unavailable", "The service cannot reach its database."

    def __init__(self) -> None:
        super().__init__("The database does not answer. Nothing was charged; try again.", retry_after_seconds=5)
