"""From a request to its hold: what the call may cost at most, and whether the wallet covers it."""

from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import msgspec

from operis_api.access.rights import allows_model
from operis_api.catalog.offers import Catalog, Offer
from operis_api.catalog.pricing import Price, Quote, exact_quote, quote
from operis_api.gateway.dialects import GatewayRequest
from operis_api.gateway.dialects.translation.forms import Forms, find_forms
from operis_api.gateway.errors import CallerSuspended, DialectNotServed, Overloaded, UnknownModel
from operis_api.gateway.upstreams.echo import echo_usage
from operis_api.keys.authentication import Asking, Caller, KeyRing
from operis_api.keys.errors import InvalidApiKey, ModelNotAllowed
from operis_api.kit.crashing import crash_here
from operis_api.kit.errors import DomainError
from operis_api.kit.ids import time_of
from operis_api.kit.money import format_nano
from operis_api.ledger.errors import InsufficientCredits
from operis_api.ledger.holds import HoldRequest, Holds, Placement, Rates
from operis_api.limits.errors import exhaust_budget, limit_concurrency, limit_rate

STALE_TRIES = 5
HELD_RETRY_SECONDS = 2
NOBODY = UUID(int=0)
"""Whose calls those of a service key are: no member's limits bind them, and no member's spending counts them."""
_CHAT_PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
"""By the protocol of the upstreams that serve a model there."""


class CallOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gateway request comes from."""

    request_id: UUID
    asking: Asking
    began_at: float
    """When the request arrived, on the monotonic clock."""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A call with its durable hold."""

    hold_id: UUID
    began_at: float
    caller: Caller
    offer: Offer
    forms: Forms
    price: Price
    multiplier: Fraction
    """Of the caller's plan."""
    held_nano: int
    output_limit: int | None
    """The limit we set because the caller set none; None where the caller did."""
    lowered: bool
    """Whether that limit is below the model's default, to fit the wallet, a budget or the tokens per minute."""
    rates: Rates | None


class Admissions:
    """Decides on calls with what this process knows, and once more with fresh knowledge where that was stale."""

    def __init__(self, catalog: Catalog, keys: KeyRing, holds: Holds) -> None:
        self._catalog = catalog
        self._keys = keys
        self._holds = holds

    async def authenticate(self, origin: CallOrigin, *, fresh: bool = False) -> Caller:
        """Return who calls; raises where the credential is not good."""
        return await self._keys.authenticate(origin.asking, fresh=fresh)

    async def authenticate_use(self, origin: CallOrigin) -> Caller:
        """Return who asks for something that is never admitted: freshly read, and noted as a use of the key."""
        return await self._keys.use(origin.asking)

    async def admit(self, request: GatewayRequest, caller: Caller, origin: CallOrigin) -> Admitted:
        """Return the call with its hold in place, or raise why not. A refused call consumed nothing."""
        for _ in range(STALE_TRIES):
            try:
                offer, forms = await self.choose(request, caller)
            except ModelNotAllowed:
                caller = await self.authenticate(origin, fresh=True)
                offer, forms = await self.choose(request, caller)
            price = offer.price_at(datetime.now(UTC))
            if price is None:
                raise UnknownModel(f"The model {request.model} has no price yet.", model=request.model)
            quoted = quote_call(request, forms, offer, price, self._catalog.multiplier(caller.plan_id, offer.id))
            placement = await self._holds.place(self._hold_request(request, origin, caller, price, quoted))
            match placement.decision:
                case "held":
                    crash_here("after_hold")
                    return _admitted(request, forms, origin, caller, offer, price, quoted, placement)
                case "insufficient_credits":
                    raise _insufficient(quoted, placement)
                case "budget_exhausted" | "rate_limited" | "concurrency_limited":
                    raise _limited(quoted, placement)
                case "catalog_changed":
                    await self._catalog.refresh()
                case "key_changed" | "key_revoked" | "key_expired" | "plan_changed" | "user_suspended":
                    caller = await self.authenticate(origin, fresh=True)
                case "organization_suspended":
                    await self.authenticate(origin, fresh=True)  # which says more of an organization that is gone
                    raise CallerSuspended("The organization is suspended; ask the operator.")
                case decision:
                    raise InvalidApiKey(f"The credential is not good any more ({decision.replace('_', ' ')}).")
        raise Overloaded(retry_after_seconds=1)

    async def choose(self, request: GatewayRequest, caller: Caller) -> tuple[Offer, Forms]:
        """Return the model that was asked for and the forms to ask it in, or raise why this key cannot have it."""
        offer = await self._find_offer(request.model)
        if not allows_model(caller.rights.models, offer.id):
            allowed = sorted(caller.rights.models)
            raise ModelNotAllowed(f"This key may not use {offer.id}.", model=offer.id, allowed=allowed)
        forms = find_forms(request, offer)
        if not forms:
            await self._catalog.refresh()  # an upstream may have been added elsewhere
            offer = await self._find_offer(request.model)
            forms = find_forms(request, offer)
            if not forms:
                raise forms.refusal or _not_served(request, offer)
        return offer, forms

    async def _find_offer(self, model_id: str) -> Offer:
        offer = self._catalog.find(model_id)
        if offer is None:
            await self._catalog.refresh()  # what was acknowledged elsewhere is in force here
            offer = self._catalog.find(model_id)
        if offer is None:
            raise UnknownModel(
                f"The model {model_id} does not exist; GET /v1/models lists those that do.", model=model_id
            )
        return offer

    def _hold_request(
        self, request: GatewayRequest, origin: CallOrigin, caller: Caller, price: Price, quoted: "CallQuote"
    ) -> HoldRequest:
        return HoldRequest(
            hold_id=origin.request_id,
            created_at=time_of(origin.request_id),
            organization_id=caller.organization_id,
            user_id=NOBODY if caller.service else caller.user_id,
            key_id=caller.key_id,
            key_version=caller.key_version,
            session_id=caller.session_id,
            plan_id=caller.plan_id,
            model_id=price.model_id,
            price_id=price.id,
            catalog_version=self._catalog.version,
            multiplier_numerator=quoted.quote.multiplier.numerator,
            multiplier_denominator=quoted.quote.multiplier.denominator,
            quote_nano=quoted.quote.nano,
            floor_nano=quoted.nano_min,
            quote_tokens=quoted.tokens_for(quoted.quote.output_tokens),
            floor_tokens=quoted.tokens_for(quoted.output_tokens_min),
            streamed=request.streamed,
            prompt_tokens=request.prompt_tokens_estimate,
            client_address=caller.seal_address(origin.asking.address),
            client_agent=origin.asking.agent,
        )


class CallQuote(msgspec.Struct, frozen=True, kw_only=True):
    quote: Quote
    output_tokens_min: int
    """The least output limit the call may be lowered to: the limit itself where the caller set it."""
    prompt_tokens: int
    """Of the tokens per minute, what the prompt takes: an estimate, until the call is settled."""
    answers: int

    @property
    def nano_min(self) -> int:
        """What the call needs at least."""
        return self.quote.nano_for(self.output_tokens_min)

    def tokens_for(self, output_tokens: int) -> int:
        return self.prompt_tokens + self.answers * output_tokens

    def output_tokens_within(self, tokens: int) -> int:
        return max(tokens - self.prompt_tokens, 0) // self.answers


def quote_call(request: GatewayRequest, forms: Forms, offer: Offer, price: Price, multiplier: Fraction) -> CallQuote:
    """Return the worst case of a call: exact for echo, whose usage is known beforehand."""
    explicit = request.output_limit
    default = min(offer.default_output_tokens, offer.max_output_tokens or offer.default_output_tokens)
    limit = default if explicit is None else explicit
    if forms.protocols == {"echo"}:
        usage = echo_usage(request, limit)
        exact = exact_quote(price, usage, multiplier)
        return CallQuote(
            quote=exact, output_tokens_min=exact.output_tokens, prompt_tokens=usage.prompt_tokens, answers=1
        )
    worst = quote(
        price,
        prompt_tokens_max=forms.prompt_tokens_max,
        output_tokens=limit,
        answers=request.answers,
        multiplier=multiplier,
    )
    return CallQuote(
        quote=worst,
        output_tokens_min=min(offer.min_output_tokens, limit) if explicit is None else limit,
        prompt_tokens=request.prompt_tokens_estimate,
        answers=request.answers,
    )


def _admitted(
    request: GatewayRequest,
    forms: Forms,
    origin: CallOrigin,
    caller: Caller,
    offer: Offer,
    price: Price,
    quoted: CallQuote,
    placement: Placement,
) -> Admitted:
    tokens = quoted.tokens_for(quoted.quote.output_tokens) if placement.tokens is None else placement.tokens
    affordable = min(quoted.quote.affordable_tokens(placement.amount_nano), quoted.output_tokens_within(tokens))
    lowered = affordable < quoted.quote.output_tokens
    limit: int | None = None
    if request.output_limit is None:
        default = min(offer.default_output_tokens, offer.max_output_tokens or offer.default_output_tokens)
        limit = affordable if lowered else default
    return Admitted(
        hold_id=origin.request_id,
        began_at=origin.began_at,
        caller=caller,
        offer=offer,
        forms=forms,
        price=price,
        multiplier=quoted.quote.multiplier,
        held_nano=placement.amount_nano,
        output_limit=limit,
        lowered=lowered,
        rates=placement.rates,
    )


def _not_served(request: GatewayRequest, offer: Offer) -> DialectNotServed:
    """Say where the model can be called instead."""
    protocols = {route.protocol for route in offer.routes}
    served = [path for protocol, path in _CHAT_PATHS.items() if protocol in protocols]
    paths = served or list(_CHAT_PATHS.values())
    return DialectNotServed(
        f"{offer.id} is served at POST {' and '.join(paths)} alone. Call it there, choose another model, or ask the "
        f"operator for an upstream that serves this in {request.dialect.name}'s dialect.",
        model=offer.id,
        served_at=paths,
    )


def _limited(quoted: CallQuote, placement: Placement) -> DomainError:
    """Say which limit binds, what is used of it, and when to try again."""
    binding = placement.binding
    assert binding is not None, "place_holds names the limit"
    match placement.decision:
        case "budget_exhausted":
            return exhaust_budget(binding, required_nano=quoted.nano_min)
        case "rate_limited":
            return limit_rate(binding, tokens=quoted.tokens_for(quoted.output_tokens_min))
        case _:
            return limit_concurrency(binding)


def _insufficient(quoted: CallQuote, placement: Placement) -> InsufficientCredits:
    """Say what was needed; where only open holds stand in the way, that waiting helps."""
    required = quoted.nano_min
    waiting_helps = placement.held_nano > 0 and placement.available_nano + placement.held_nano >= required
    affordable = quoted.quote.affordable_tokens(placement.available_nano)
    required_text, available, held = (
        format_nano(amount) for amount in (required, placement.available_nano, placement.held_nano)
    )
    return InsufficientCredits(
        f"This request needs up to {required_text} credits; {available} are available and {held} are held by requests "
        f"in progress. {'Wait for those, or top up.' if waiting_helps else 'Top up, or ask for less output.'}",
        retry_after_seconds=HELD_RETRY_SECONDS if waiting_helps else None,
        required=required_text,
        available=available,
        held=held,
        affordable_output_tokens=affordable,
    )
