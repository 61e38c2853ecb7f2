"""The gateway's routes under /v1. Calls of models are raw ASGI, so that they cost little; others are read seldom."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response, asgi, get
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.types import HTTPScope, Receive, Scope, Send
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.rights import allows_model
from operis_api.catalog.offers import Catalog, Offer
from operis_api.gateway.admission import CallOrigin
from operis_api.gateway.chat import Chat
from operis_api.gateway.dialects import GatewayRequest
from operis_api.gateway.dialects.anthropic.refusing import ANTHROPIC
from operis_api.gateway.dialects.anthropic.request import CountRequest, MessagesRequest
from operis_api.gateway.dialects.openai.embeddings import EmbeddingsRequest
from operis_api.gateway.dialects.openai.refusing import RESPONSES
from operis_api.gateway.dialects.openai.request import ChatRequest
from operis_api.gateway.dialects.openai.responses import ResponsesRequest
from operis_api.gateway.door import ClientLeft, Door
from operis_api.gateway.errors import InternalError, KeyRequired, MethodNotAllowed, UnknownModel
from operis_api.gateway.idempotency import KeyedCall
from operis_api.gateway.relay import Client
from operis_api.keys.authentication import Caller, KeyRing
from operis_api.keys.changing import read_key
from operis_api.kit.draining import ShuttingDown
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import DomainError, Unavailable
from operis_api.kit.money import format_nano
from operis_api.kit.problems import is_database_away
from operis_api.kit.sessions import Sessions
from operis_api.limits.fields import Limits, show_limits
from operis_api.limits.states import LimitState

AnyRequest = Request[object, object, State]
ReadRequest = Callable[[bytes], GatewayRequest]
"""Makes a request of a body, or raises why it is none."""
log = structlog.get_logger()


@asgi("/v1/chat/completions", copy_scope=False)
async def create_chat_completion(scope: Scope, receive: Receive, send: Send) -> None:
    await _serve(Door(cast("HTTPScope", scope), receive, send), "inference:chat", _generate, ChatRequest)


@asgi("/v1/responses", copy_scope=False)
async def create_response(scope: Scope, receive: Receive, send: Send) -> None:
    door = Door(cast("HTTPScope", scope), receive, send, RESPONSES)
    await _serve(door, "inference:responses", _generate, ResponsesRequest)


@asgi("/v1/embeddings", copy_scope=False)
async def create_embedding(scope: Scope, receive: Receive, send: Send) -> None:
    await _serve(Door(cast("HTTPScope", scope), receive, send), "inference:embeddings", _generate, EmbeddingsRequest)


@asgi("/v1/messages", copy_scope=False)
async def create_message(scope: Scope, receive: Receive, send: Send) -> None:
    door = Door(cast("HTTPScope", scope), receive, send, ANTHROPIC)
    await _serve(door, "inference:messages", _generate, lambda body: MessagesRequest(body, door.headers))


@asgi("/v1/messages/count_tokens", copy_scope=False)
async def count_message_tokens(scope: Scope, receive: Receive, send: Send) -> None:
    door = Door(cast("HTTPScope", scope), receive, send, ANTHROPIC)
    await _serve(door, "inference:messages", _count, lambda body: CountRequest(body, door.headers))


async def _serve(
    door: Door,
    scope: str,
    answer: Callable[[Door, CallOrigin, ReadRequest], Awaitable[None]],
    read_request: ReadRequest,
) -> None:
    """Answer one POST of somebody who has the scope, whatever happens, in the door's dialect."""
    try:
        if door.method != "POST":
            raise MethodNotAllowed("Use POST.")  # one door renders every refusal
        await answer(door, door.origin(scope), read_request)
    except ClientLeft:
        return
    except DomainError as error:
        await door.refuse(error)
    except Exception as error:
        if is_database_away(error):
            await door.refuse(Unavailable())
            return
        log.exception("gateway_error", request_id=str(door.request_id))
        await door.refuse(InternalError("It was logged under this request id; your requests tell what was charged."))
    except asyncio.CancelledError:  # the server's bound for those that run has passed
        await door.refuse(ShuttingDown())
    finally:
        door.give_back()


async def _generate(door: Door, origin: CallOrigin, read_request: ReadRequest) -> None:
    chat = cast("Chat", door.app.state["chat"])
    caller = await chat.authenticate(origin)
    door.announce(caller)
    request = read_request(await door.read_body())
    keyed = _keyed_call(door, request, caller, origin)
    if keyed is not None and (kept := await keyed.begin()) is not None:
        await door.answer(200, kept.body, {**kept.headers, "idempotent-replayed": "true"})
        return
    try:
        await _answer(door, chat, request, caller, origin, keyed)
    except DomainError:
        if keyed is not None and not door.begun:
            await keyed.forget()  # unless there is an answer, whose settlement is unknown
        raise


def _keyed_call(door: Door, request: GatewayRequest, caller: Caller, origin: CallOrigin) -> KeyedCall | None:
    if (key := door.idempotency_key) is None:
        return None
    sessions, vault = cast("Sessions", door.app.state["sessions"]), cast("Vault", door.app.state["vault"])
    return KeyedCall(sessions, vault, key=key, origin=origin, caller=caller, request=request)


async def _answer(
    door: Door, chat: Chat, request: GatewayRequest, caller: Caller, origin: CallOrigin, keyed: KeyedCall | None
) -> None:
    if request.streamed:
        client = Client(door.begin_stream, door.send_chunk, door.wait_until_left)
        charged = await chat.stream(request, caller, origin, client)
        if keyed is not None:
            await (keyed.note_charged() if charged else keyed.forget())
        await door.end_stream()
    else:
        answer = await chat.complete(request, caller, origin, keyed)
        await door.answer(200, answer.body, answer.headers)


async def _count(door: Door, origin: CallOrigin, read_request: ReadRequest) -> None:
    chat = cast("Chat", door.app.state["chat"])
    caller = await chat.authenticate_use(origin)
    door.announce(caller)
    request = read_request(await door.read_body())
    await door.answer(200, await chat.count_tokens(request, caller), {"x-operis-request-id": str(door.request_id)})


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """A model as OpenAI lists it."""

    id: str
    created: int
    owned_by: str
    object: str = "model"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[ModelObject]
    object: str = "list"


class AnthropicModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as Anthropic lists it."""

    id: str
    display_name: str
    created_at: datetime
    type: str = "model"


class AnthropicModelList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: bool = False
    """Never: they all are in one answer."""


class CallingKey(Limits, frozen=True, kw_only=True):
    """What a key may know of itself. Money in credits."""

    id: UUID
    name: str
    scopes: list[str]
    models: list[str]
    cidrs: list[str]
    expires_at: datetime | None
    secret_expires_at: datetime | None
    """When the secret that was sent ends, where it was rotated."""
    spent: str
    requests: int
    errors: int
    states: list[LimitState]
    """Of every limit that holds for its calls; `binds` marks the one with the smallest part left."""


_OPTIONS = {"public": True}
"""Not for the management API's sessions: these routes authenticate API keys themselves."""


@get("/v1/models", opt=_OPTIONS, tags=["gateway"], operation_id="list_gateway_models")
async def list_gateway_models(request: AnyRequest, state: State) -> Response[ModelList]:
    """List the models the credential may call, in OpenAI's form; with `anthropic-version`, in Anthropic's."""
    caller = await _authenticate(request, state, "models")
    catalog = await _fresh_catalog(state)
    offers = [offer for offer, _ in catalog.list_offered() if _may_call(caller, offer)]
    if "anthropic-version" in request.headers:
        ids = [offer.id for offer in offers]
        listed = AnthropicModelList(
            data=[_anthropic_model(offer) for offer in offers],
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
        )
        return cast("Response[ModelList]", Response(listed))
    return Response(ModelList(data=[_model_object(offer) for offer in offers]))


@get(
    "/v1/models/{model_id:path}",
    opt=_OPTIONS,
    tags=["gateway"],
    operation_id="get_gateway_model",
)
async def get_gateway_model(request: AnyRequest, state: State, model_id: FromPath[str]) -> Response[ModelObject]:
    """Return one model in OpenAI's form; with `anthropic-version`, in Anthropic's."""
    caller = await _authenticate(request, state, "models")
    wanted = model_id.removeprefix("/")
    for offer, _ in (await _fresh_catalog(state)).list_offered():
        if offer.id == wanted and _may_call(caller, offer):
            if "anthropic-version" in request.headers:
                return cast("Response[ModelObject]", Response(_anthropic_model(offer)))
            return Response(_model_object(offer))
    raise UnknownModel(f"The model {wanted} does not exist.")


@get("/v1/key", opt=_OPTIONS, tags=["gateway"], operation_id="get_calling_key")
async def get_calling_key(request: AnyRequest, state: State, session: AsyncSession) -> CallingKey:
    """Tell an API key its own name, what it may do, until when, and what it has spent."""
    caller = await _authenticate(request, state, None)
    if caller.key_id is None:
        raise KeyRequired("Send an API key; an access token has no limits of its own.")
    row = await read_key(session, caller.key_id, caller.organization_id)
    return CallingKey(
        id=row.key.id,
        name=row.key.name,
        scopes=row.key.scopes,
        models=row.key.models,
        cidrs=row.key.cidrs,
        expires_at=row.key.expires_at,
        secret_expires_at=caller.secret_expires_at,
        spent=format_nano(row.spent_nano),
        requests=row.requests,
        errors=row.errors,
        states=row.states,
        **msgspec.structs.asdict(show_limits(row.key)),
    )


async def _authenticate(request: AnyRequest, state: State, scope: str | None) -> Caller:
    """Return the caller, read afresh: these routes have no admission that would notice a revoked key."""
    door = Door(request.scope, request.receive, request.send)
    caller = await cast("KeyRing", state["keys"]).use(door.origin(scope).asking)
    door.announce(caller)
    return caller


async def _fresh_catalog(state: State) -> Catalog:
    catalog = cast("Catalog", state["catalog"])
    await catalog.refresh()
    return catalog


def _may_call(caller: Caller, offer: Offer) -> bool:
    return allows_model(caller.rights.models, offer.id)


def _anthropic_model(offer: Offer) -> AnthropicModel:
    return AnthropicModel(id=offer.id, display_name=offer.name, created_at=offer.created_at)


def _model_object(offer: Offer) -> ModelObject:
    return ModelObject(id=offer.id, created=int(offer.created_at.timestamp()), owned_by=offer.id.split("/")[0])
