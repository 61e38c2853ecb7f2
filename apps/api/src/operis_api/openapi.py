"""The OpenAPI document: what the framework knows of the handlers, and the gateway's routes that it cannot see into."""

from typing import cast

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from operis_api.kit.errors import NotFound
from operis_api.kit.origin import AnyRequest
from operis_api.reference import refuse_unless_exposed
from operis_api.refusals import list_refusals
from operis_api.version import VERSION

PROBLEM = {"$ref": "#/components/schemas/Problem"}
_OPENAI_ERROR = {"$ref": "#/components/schemas/OpenAIError"}
_ANTHROPIC_ERROR = {"$ref": "#/components/schemas/AnthropicError"}
PUBLIC = {
    "register",
    "undo_erasure",
    "verify_email",
    "resend_verification",
    "forgot_password",
    "reset_password",
    "confirm_address",
    "undo_address",
    "verify_second_factor",
    "begin_passkey_sign_in",
    "finish_passkey_sign_in",
    "list_identity_providers",
    "begin_provider_sign_in",
    "finish_provider_sign_in",
    "prove_identity",
    "login",
    "refresh",
    "list_written_mails",
    "get_health",
    "get_readiness",
    "get_metrics",
}
"""Operations that need no credential."""


def hide(_: object, __: object) -> None:
    """Answer as if the route were not there."""
    raise NotFound("There is nothing here.")


config = OpenAPIConfig(
    title="Operis",
    version=VERSION,
    description=(
        "Management API under /api/v1 (bearer access token) and the gateway under /v1 (API key), in OpenAI's dialect "
        "and Anthropic's. "
        "Money is a decimal string of credits. Refusals are problems (RFC 9457); docs/errors.md lists their codes."
    ),
    components=Components(
        security_schemes={
            "accessToken": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
            "apiKey": SecurityScheme(type="http", scheme="bearer", bearer_format="sk-op-..."),
        }
    ),
    use_handler_docstrings=True,
    # The framework insists on pages of its own; there is one document, at /openapi.json, and one reference.
    render_plugins=[JsonRenderPlugin()],
    openapi_router=Router("/schema", route_handlers=[], guards=[hide], include_in_schema=False),
)


def describe(app: Litestar) -> dict[str, object]:
    """Return the whole document, in a stable order."""
    document = app.openapi_schema.to_schema()
    paths: dict[str, dict[str, dict[str, object]]] = document["paths"]
    _rename(paths, "/api/v1/admin/models/{model_path}", "/api/v1/admin/models/{model_id}/upstreams")
    paths |= {path: {"post": dict(operation)} for path, operation in _CALLS_OF_MODELS.items()}
    schemas = document["components"]["schemas"]
    schemas["Problem"] = _PROBLEM_SCHEMA
    schemas["OpenAIError"] = _OPENAI_ERROR_SCHEMA
    schemas["AnthropicError"] = _ANTHROPIC_ERROR_SCHEMA
    permissions, scopes = _list_declared(app, "permission"), _list_declared(app, "scope") | _SCOPES_OF_CALLS
    looked = _list_declared(app, "impersonated")
    for path, operations in paths.items():
        for method, operation in operations.items():
            if permission := permissions.get(cast("str", operation["operationId"])):
                operation["x-permission"] = permission
            if scope := scopes.get(cast("str", operation["operationId"])):
                operation["x-scope"] = scope
            _describe_optional_body(operation)
            looks = looked.get(cast("str", operation["operationId"]), method == "get")
            _describe_refusals(path, operation, changes=not looks)
    document["paths"] = dict(sorted(paths.items()))
    return document


@get("/openapi.json", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def get_openapi(request: AnyRequest, state: State) -> Response[bytes]:
    """Return the OpenAPI document."""
    refuse_unless_exposed(state)
    if "openapi" not in state:
        state["openapi"] = msgspec.json.encode(describe(request.app))
    return Response(cast("bytes", state["openapi"]), media_type="application/json")


def _list_declared(app: Litestar, name: str) -> dict[str, str]:
    """Return what each operation declares by that name: its permission, say, or the scope that opens it to keys."""
    handlers = (handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers)
    return {str(handler.operation_id): cast("str", handler.opt[name]) for handler in handlers if name in handler.opt}


def _describe_optional_body(operation: dict[str, object]) -> None:
    """A body that may be null may be left out."""
    body = cast("dict[str, dict[str, dict[str, dict[str, object]]]]", operation.get("requestBody"))
    if body and {"type": "null"} in cast(
        "list[object]", body["content"]["application/json"]["schema"].get("oneOf", [])
    ):
        cast("dict[str, object]", body)["required"] = False


def _describe_refusals(path: str, operation: dict[str, object], *, changes: bool) -> None:
    """Name who may call, and what may be refused with which code; the framework's own guess at errors goes."""
    responses = cast("dict[str, object]", operation["responses"])
    for status in [status for status in responses if not status.startswith("2")]:
        del responses[status]
    gateway, public = path.startswith("/v1/"), operation["operationId"] in PUBLIC
    keyed = "x-scope" in operation
    names = [] if public else ["apiKey", "accessToken"] if gateway or keyed else ["accessToken"]
    no_scopes: list[str] = []
    operation["security"] = [{name: no_scopes} for name in names]
    shape = (_ANTHROPIC_ERROR if path.startswith("/v1/messages") else _OPENAI_ERROR) if gateway else PROBLEM
    media = "application/json" if gateway else "application/problem+json"
    responses["default"] = {"description": "A refusal; x-errors names its codes", "content": {media: {"schema": shape}}}
    operation["x-errors"] = list_refusals(
        cast("str", operation["operationId"]),
        parameters=bool(operation.get("parameters")),
        body="requestBody" in operation,
        signed_in=not gateway and not public,
        keyed=keyed,
        changes=changes,
    )


def _rename(paths: dict[str, dict[str, dict[str, object]]], shown: str, meant: str) -> None:
    """Show a route whose ids contain slashes as its callers know it."""
    operations = paths.pop(shown)
    for operation in operations.values():
        for parameter in cast("list[dict[str, object]]", operation.get("parameters", [])):
            if parameter["name"] == "model_path":
                parameter["name"] = "model_id"
    paths[meant] = operations


_STREAM: dict[str, object] = {"stream": {"type": "boolean", "default": False}}
_MESSAGES: dict[str, object] = {"messages": {"type": "array", "items": {"type": "object"}}}
_CHARGED = "The wallet is charged the exact usage; `usage.cost` and the header `x-operis-charge` say what."


def _call_of_model(
    operation_id: str, summary: str, description: str, properties: dict[str, object], *, required: list[str]
) -> dict[str, object]:
    """Return an operation of the gateway that the framework cannot see into."""
    charged = {"x-operis-charge": {"description": "Credits charged", "schema": {"type": "string"}}}
    request_id = {"x-operis-request-id": {"description": "Id of the request", "schema": {"type": "string"}}}
    whole, stream = {"schema": {"type": "object"}}, {"schema": {"type": "string"}}
    schema = {
        "type": "object",
        "required": ["model", *required],
        "properties": {"model": {"type": "string"}, **properties},
        "additionalProperties": True,
    }
    streamed = {"text/event-stream": stream} if "stream" in properties else {}
    answer = {
        "description": "The answer, or its event stream" if streamed else "The answer",
        "headers": {**(charged if _CHARGED in description else {}), **request_id},
        "content": {"application/json": whole, **streamed},
    }
    return {
        "operationId": operation_id,
        "tags": ["gateway"],
        "summary": summary,
        "description": description,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": answer},
    }


_CALLS_OF_MODELS = {
    "/v1/chat/completions": _call_of_model(
        "create_chat_completion",
        "Create a chat completion, streamed or not",
        "OpenAI's chat completions: fields Operis does not know pass through to upstreams of OpenAI's protocol; for "
        "others the request is translated. "
        f"{_CHARGED} 402 names required, available, held and affordable_output_tokens.",
        {
            **_MESSAGES,
            **_STREAM,
            "max_tokens": {"type": "integer", "minimum": 0},
            "max_completion_tokens": {"type": "integer", "minimum": 0},
            "n": {"type": "integer", "minimum": 1, "maximum": 128, "default": 1},
        },
        required=["messages"],
    ),
    "/v1/responses": _call_of_model(
        "create_response",
        "Create a response, streamed or not",
        "OpenAI's responses, without a memory: nothing is stored, so previous_response_id, conversation and background "
        f"are refused. Passed through to upstreams that serve it, else translated. {_CHARGED} 402 names required, "
        "available, held and affordable_output_tokens.",
        {"input": {}, "instructions": {"type": "string"}, **_STREAM, "max_output_tokens": {"type": "integer"}},
        required=[],
    ),
    "/v1/embeddings": _call_of_model(
        "create_embedding",
        "Embed texts",
        f"OpenAI's embeddings, for models whose upstreams speak OpenAI's protocol. {_CHARGED}",
        {"input": {}, "dimensions": {"type": "integer"}, "encoding_format": {"type": "string"}},
        required=["input"],
    ),
    "/v1/messages": _call_of_model(
        "create_message",
        "Create a message, streamed or not",
        "Anthropic's messages: fields Operis does not know pass through to upstreams of Anthropic's protocol; for "
        f"others the request is translated. {_CHARGED} 402 names required, available, held "
        "and affordable_output_tokens.",
        {**_MESSAGES, **_STREAM, "max_tokens": {"type": "integer", "minimum": 0}},
        required=["messages", "max_tokens"],
    ),
    "/v1/messages/count_tokens": _call_of_model(
        "count_message_tokens",
        "Count the tokens of a message",
        "Anthropic's token counting. It costs nothing and holds nothing.",
        _MESSAGES,
        required=["messages"],
    ),
}
_SCOPES_OF_CALLS = {
    "create_chat_completion": "inference:chat",
    "create_response": "inference:responses",
    "create_embedding": "inference:embeddings",
    "create_message": "inference:messages",
    "count_message_tokens": "inference:messages",
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "additionalProperties": True,
}
_OPENAI_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
                "request_id": {"type": "string"},
            },
            "additionalProperties": True,
        }
    },
}
_ANTHROPIC_ERROR_SCHEMA = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"type": "string", "enum": ["error"]},
        "error": {
            "type": "object",
            "required": ["type", "message", "code"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "code": {"type": "string"},
            },
            "additionalProperties": True,
        },
        "request_id": {"type": "string"},
    },
}
