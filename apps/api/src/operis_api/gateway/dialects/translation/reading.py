"""Taking a request apart member by member, so that what the other dialect cannot say is refused by its name.

Answers are read with less rigour: what is there is taken, what is strange is left out.
"""

from typing import cast

from operis_api.gateway.errors import InvalidBody, NotTranslatable

Json = dict[str, object]


class Members:
    """An object's members. Each is taken once; `end` refuses what is left."""

    def __init__(self, value: object, path: str = "") -> None:
        """Raise `InvalidBody` where the value is no object."""
        if not isinstance(value, dict):
            raise InvalidBody(f"{path or 'The body'} is not an object.", param=path or None)
        self._left = dict(cast("Json", value))
        self.path = path

    def where(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> object:
        """Return a member, None where it is absent or null."""
        return self._left.pop(name, None)

    def peek(self, name: str) -> object:
        """Return a member, which stays to be taken."""
        return self._left.get(name)

    def take_text(self, name: str) -> str | None:
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        raise InvalidBody(f"{self.where(name)} is not a text.", param=self.where(name))

    def need_text(self, name: str) -> str:
        value = self.take_text(name)
        if value is None:
            raise InvalidBody(f"{self.where(name)} is required.", param=self.where(name))
        return value

    def take_object(self, name: str) -> "Members | None":
        value = self.take(name)
        return None if value is None else Members(value, self.where(name))

    def need_object(self, name: str) -> "Members":
        return Members(self.take(name), self.where(name))

    def take_list(self, name: str) -> list[object]:
        """Return a list, empty where it is absent."""
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise InvalidBody(f"{self.where(name)} is not a list.", param=self.where(name))
        return cast("list[object]", value)

    def take_objects(self, name: str) -> list["Members"]:
        return [Members(one, f"{self.where(name)}[{nth}]") for nth, one in enumerate(self.take_list(name))]

    def take_unless(self, name: str, *defaults: object) -> None:
        """Leave out a member that says what holds anyway; refuse any other value."""
        value = self.take(name)
        if value is not None and not any(type(value) is type(one) and value == one for one in defaults):
            raise self.refusal(name)

    def drop(self, *names: str) -> None:
        """Leave out hints: members that do not change what is asked."""
        for name in names:
            self._left.pop(name, None)

    def rest(self) -> Json:
        """Take all that is left, as it is."""
        rest, self._left = self._left, {}
        return rest

    def end(self) -> None:
        for name, value in self._left.items():
            if value is not None:
                raise self.refusal(name)

    def refusal(self, name: str) -> NotTranslatable:
        return NotTranslatable(self.where(name))


def as_content(value: object, path: str) -> "str | list[Members]":
    """Return a message's content: a text or its parts; raises `InvalidBody` where it is neither."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidBody(f"{path} is neither a text nor a list.", param=path)
    return [Members(part, f"{path}[{nth}]") for nth, part in enumerate(cast("list[object]", value))]


def object_in(value: object) -> Json:
    """Return an object of an answer, an empty one where it is none."""
    return cast("Json", value) if isinstance(value, dict) else {}


def objects_in(value: object) -> list[Json]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Json", one) for one in found if isinstance(one, dict)]


def text_in(value: object) -> str:
    return value if isinstance(value, str) else ""
