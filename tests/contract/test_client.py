"""The typed client is the API's contract: one method for each operation, and structs that are its schemas."""

import inspect
import json
import re
import types
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import httpx
import msgspec
import pytest

from operis_client import ApiError, AsyncOperis, Operis, models
from operis_client.unasync import derive_sync_source

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
BEYOND_THE_OPERATIONS = {
    "close",
    "for_organization",
    "stream_chat_completion",
    "stream_message",
    "stream_response",
    "stream_wallet_statement",
}
"""Methods that are no operation of their own."""
OPENAI_SHAPED = {
    "create_chat_completion": "POST /v1/chat/completions",
    "create_embedding": "POST /v1/embeddings",
    "create_response": "POST /v1/responses",
    "create_message": "POST /v1/messages",
    "count_message_tokens": "POST /v1/messages/count_tokens",
    "list_gateway_models": "GET /v1/models",
    "get_gateway_model": "GET /v1/models/{model_id}",
    "get_calling_key": "GET /v1/key",
}
"""Of the gateway: plain objects, since the official SDKs are its typed clients."""
TEXT = {"get_metrics", "get_wallet_statement"}
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
CLIENTS = (AsyncOperis, Operis)


def methods_of(client: type) -> dict[str, Callable[..., object]]:
    return {
        name: member for name, member in vars(client).items() if inspect.isfunction(member) and not name.startswith("_")
    }


# -- one way of writing types, for both sides


def of_schema(schema: Mapping[str, Any]) -> frozenset[str]:  # noqa: PLR0911  # one for each form a schema has
    """Return the alternatives a schema allows."""
    if "oneOf" in schema:
        return frozenset[str]().union(*(of_schema(one) for one in schema["oneOf"]))
    if "$ref" in schema:
        return frozenset({SCHEMAS[schema["$ref"].rpartition("/")[2]].get("title", schema["$ref"].rpartition("/")[2])})
    if "enum" in schema:
        return frozenset(f"'{value}'" for value in schema["enum"])
    match schema["type"], schema.get("format"):
        case "array", _:
            return frozenset({f"[{' | '.join(sorted(of_schema(schema['items'])))}]"})
        case "object", _:
            return frozenset({"object"})
        case "string", "date-time":
            return frozenset({"datetime"})
        case kind, _:
            return frozenset({str(kind)})


PLAIN: dict[object, str] = {
    str: "string",
    int: "integer",
    bool: "boolean",
    type(None): "null",
    datetime: "datetime",
}


def of_type(annotation: object) -> frozenset[str]:  # noqa: PLR0911  # one for each form a type has
    """Return the alternatives an annotation of the client allows."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return frozenset[str]().union(*(of_type(one) for one in get_args(annotation)))
    if origin is Literal:
        return frozenset(f"'{value}'" for value in get_args(annotation))
    if origin is list:
        return frozenset({f"[{' | '.join(sorted(of_type(get_args(annotation)[0])))}]"})
    if origin in {dict, Mapping}:
        return frozenset({"object"})
    if origin is models.Page:
        return frozenset({f"Page[{get_args(annotation)[0].__name__}]"})
    if annotation is msgspec.UnsetType:
        return frozenset()
    if annotation in PLAIN:
        return frozenset({PLAIN[annotation]})
    return frozenset({cast("type", annotation).__name__})


# -- structs


def answered_schemas() -> set[str]:
    """Return the names of all schemas that answers of typed operations are made of."""
    found: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            members = cast("dict[str, object]", node)
            reference = members.get("$ref")
            if isinstance(reference, str) and reference.rpartition("/")[2] not in found:
                found.add(reference.rpartition("/")[2])
                walk(SCHEMAS[reference.rpartition("/")[2]])
            for member in members.values():
                walk(member)
        elif isinstance(node, list):
            for member in cast("list[object]", node):
                walk(member)

    for name, (_, _, operation) in OPERATIONS.items():
        if name not in OPENAI_SHAPED:
            walk({status: answer for status, answer in operation["responses"].items() if status.startswith("2")})
    return found


def client_structs() -> dict[str, type[msgspec.Struct]]:
    return {
        name: member
        for name, member in vars(models).items()
        if isinstance(member, type) and issubclass(member, msgspec.Struct) and not member.__subclasses__()
    }


def test_the_client_has_the_answers_structs_and_no_others() -> None:
    named = {re.sub(r"\[.*", "", SCHEMAS[name].get("title", name)) for name in answered_schemas()}
    assert set(client_structs()) == named


@pytest.mark.parametrize("name", sorted(answered_schemas()))
def test_a_struct_is_its_schema_field_by_field(name: str) -> None:
    schema = SCHEMAS[name]
    struct = client_structs()[re.sub(r"\[.*", "", schema.get("title", name))]
    if struct is models.Page:
        assert {"items", "next"} == set(schema["properties"])
        return
    hints = get_type_hints(struct)
    theirs = {field: (of_schema(kind), field in schema["required"]) for field, kind in schema["properties"].items()}
    ours = {field.name: (of_type(hints[field.name]), field.required) for field in msgspec.structs.fields(struct)}
    assert ours == theirs


# -- methods


@pytest.mark.parametrize("client", CLIENTS)
def test_there_is_one_method_for_each_operation_and_nothing_beside(client: type) -> None:
    assert set(methods_of(client)) - BEYOND_THE_OPERATIONS == set(OPERATIONS)


def documented_parameters(name: str) -> dict[str, tuple[frozenset[str], bool]]:
    """Return each parameter's alternatives, and whether it must be given, as the document says."""
    method, _, operation = OPERATIONS[name]
    found: dict[str, tuple[frozenset[str], bool]] = {}
    for parameter in operation.get("parameters", []):
        name_there: str = parameter["name"]
        own = {"from": "from_", "Idempotency-Key": "idempotency_key"}.get(name_there, name_there)
        kinds = of_schema(parameter["schema"]) - {"null"}
        # Words of a query are checked by the server, so that an older client may name newer ones.
        found[own] = (frozenset("string" if kind.startswith("'") else kind for kind in kinds), parameter["required"])
    body = operation.get("requestBody")
    if body is not None:
        (reference,) = of_schema(body["content"]["application/json"]["schema"]) - {"null"}
        schema = SCHEMAS[reference]
        for field, kind in schema["properties"].items():
            required = field in schema.get("required", [])
            kinds = of_schema(kind) if method == "PATCH" else of_schema(kind) - {"null"}
            found[field] = (frozenset("string" if one.startswith("'") else one for one in kinds), required)
    return found


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - set(OPENAI_SHAPED)))
def test_a_methods_parameters_are_its_operations(client: type, name: str) -> None:
    patch = OPERATIONS[name][0] == "PATCH"
    method = methods_of(client)[name]
    hints = get_type_hints(method)
    ours: dict[str, tuple[frozenset[str], bool]] = {}
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        kinds = of_type(hints[parameter.name])
        required = parameter.default is inspect.Parameter.empty
        ours[parameter.name] = (kinds if patch else kinds - {"null"}, required)
        in_path = f"{{{parameter.name}}}" in OPERATIONS[name][1]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if in_path else inspect.Parameter.KEYWORD_ONLY
        assert parameter.kind is kind, parameter.name
    assert ours == documented_parameters(name)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - set(OPENAI_SHAPED) - TEXT))
def test_a_method_returns_what_its_operation_answers(client: type, name: str) -> None:
    answers = [answer for status, answer in OPERATIONS[name][2]["responses"].items() if status.startswith("2")]
    (answer,) = answers
    content = answer.get("content")
    documented = of_schema(content["application/json"]["schema"]) if content else frozenset({"null"})
    assert of_type(get_type_hints(methods_of(client)[name])["return"]) == documented


# -- what goes over the wire


def sample(name: str, annotation: object) -> object:
    kinds = of_type(annotation)
    if name == "body":
        return {"model": "operis/echo", "messages": []}
    if "datetime" in kinds:
        return datetime(2027, 1, 1, tzinfo=UTC)
    if "integer" in kinds:
        return 7
    if "boolean" in kinds:
        return True
    return ["x"] if "[string]" in kinds else f"some-{name}"


def check_wire(name: str, request: httpx.Request) -> None:
    method, path, operation = OPERATIONS[name]
    pattern = re.sub(r"\\\{(\w+)\\\}", r"some-\1", re.escape(path))
    assert (request.method, True) == (method, re.fullmatch(pattern, request.url.path) is not None), request.url
    declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
    assert set(request.url.params) == declared
    assert request.headers["authorization"] == "Bearer the-token"
    headers = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "header"]
    assert all(request.headers[header] == "some-idempotency_key" for header in headers)
    body = operation.get("requestBody")
    assert (request.content != b"") is (body is not None)
    if body is not None and name not in OPENAI_SHAPED:
        (reference,) = of_schema(body["content"]["application/json"]["schema"]) - {"null"}
        assert set(json.loads(request.content)) == set(SCHEMAS[reference]["properties"])
        assert request.headers["content-type"] == "application/json"


def refuse(request: httpx.Request) -> httpx.Response:
    return httpx.Response(418, json={"code": "teapot", "title": "No", "detail": "", "request_id": "r-1", "more": 1})


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_a_method_sends_what_its_operation_takes(client: type, name: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return refuse(request)

    method = methods_of(client)[name]
    hints = get_type_hints(method)
    arguments = {
        parameter: sample(parameter, hints[parameter]) for parameter in list(inspect.signature(method).parameters)[1:]
    }
    if client is AsyncOperis:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            operis = AsyncOperis("http://operis.test/", token="the-token", http=http)
            with pytest.raises(ApiError) as refusal:
                await cast("Awaitable[object]", method(operis, **arguments))
    else:
        with httpx.Client(transport=httpx.MockTransport(answer)) as http:
            blocking = Operis("http://operis.test", token="the-token", http=http)
            with pytest.raises(ApiError) as refusal:
                method(blocking, **arguments)
    check_wire(name, seen[0])
    error = refusal.value
    assert (error.status, error.code, error.title, error.request_id, error.facts) == (
        418,
        "teapot",
        "No",
        "r-1",
        {"more": 1},
    )


def test_the_synchronous_client_is_made_from_the_asynchronous_one() -> None:
    kept = (ROOT / "packages" / "client" / "src" / "operis_client" / "sync.py").read_text()
    assert kept == derive_sync_source(), "run: .venv/bin/python -m operis_client.unasync"
    assert "await" not in kept
    assert "async" not in kept.replace("unasync", "")
