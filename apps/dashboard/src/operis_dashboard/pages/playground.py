"""The playground: a chat with any model on offer, streamed, with the tokens and the cost of each answer."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.chatting import (
    MESSAGES_MAX,
    PROMPT_CHARACTERS_MAX,
    ChatLine,
    Tokens,
    read_chunk,
    write_messages,
)
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import card
from operis_dashboard.components.code import snippet_tabs
from operis_dashboard.components.controls import alert, field, text_input
from operis_dashboard.components.conversation import conversation
from operis_dashboard.components.links import page_link
from operis_dashboard.formatting import NOTHING, exact
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.snippets import Snippets, write_calls
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FLUSH_SECONDS = 0.05
_CHECK_SECONDS = 1.0
_NUMBER_MAX = 1e9


class Playground(Viewer):
    loaded: bool = False
    failure: str = ""
    short: bool = False
    """Whether the last call was refused because the wallet cannot cover it."""
    models: list[str] = []
    model: str = ""
    system: str = ""
    temperature: str = ""
    top_p: str = ""
    max_tokens: str = ""
    draft: str = ""
    lines: list[ChatLine] = []
    answer: str = ""
    streaming: bool = False
    snippets: Snippets = Snippets()
    showing_code: bool = False

    _stopping: bool = False

    @rx.event
    async def load(self) -> None:
        try:
            found = await self._ask(lambda api: api.list_models())
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.models = [model.id for model in found.items]
        wanted = self.router.url.query_parameters.get("model", "") or self.model
        self.model = wanted if wanted in self.models else next(iter(self.models), "")
        self.loaded, self.failure = True, ""

    @rx.event
    def choose_model(self, model: str) -> None:
        self.model = model

    @rx.event
    def write_system(self, text: str) -> None:
        self.system = text[:PROMPT_CHARACTERS_MAX]

    @rx.event
    def write_temperature(self, text: str) -> None:
        self.temperature = text

    @rx.event
    def write_top_p(self, text: str) -> None:
        self.top_p = text

    @rx.event
    def write_max_tokens(self, text: str) -> None:
        self.max_tokens = text

    @rx.event
    def write_draft(self, text: str) -> None:
        self.draft = text[:PROMPT_CHARACTERS_MAX]

    @rx.event
    def clear(self) -> None:
        self._stopping = True
        self.lines, self.answer, self.failure, self.short = [], "", "", False

    @rx.event
    def stop(self) -> None:
        self._stopping = True

    @rx.event
    def show_code(self, opened: bool = True) -> None:
        body: dict[str, object] = {"model": self.model, **self._parameters()}
        messages = write_messages(self.system, self.lines)
        if not self.lines:
            messages = [*messages, {"role": "user", "content": self.draft or "Say hello."}]
        self.snippets = write_calls(self.api_url, "$OPERIS_API_KEY", {**body, "messages": messages})
        self.showing_code = opened

    @rx.event(background=True)
    async def ask(self, form: dict[str, Any]) -> None:
        draft = read_field(form, "draft", characters_max=PROMPT_CHARACTERS_MAX)  # the state's may be a key behind
        async with self:
            if self.streaming or not draft.strip() or not self.model:
                return
            asked = self.lines[-MESSAGES_MAX:]
            body, bound = self._body(draft), self._bound
            self.lines = [*asked, ChatLine(role="user", text=draft.strip())]
            self.draft, self.answer, self.failure, self.short = "", "", "", False
            self.streaming, self._stopping = True, False
        usage: Tokens | None = None
        note = ""
        asked_at, first_at = time.monotonic(), 0.0
        try:
            async with aclosing(self._stream(body)) as pieces:
                async for text, counted, cut in pieces:
                    usage = counted or usage
                    first_at = first_at or (time.monotonic() if text else 0.0)
                    async with self:
                        if self._bound != bound:
                            return  # another session has this tab now
                        self.answer += text
                        if cut:
                            note = self._say("playground.cut")
                        if self._stopping:
                            note = self._say("playground.stopped")
                            break
        except OperisError as error:
            async with self:
                if self._bound == bound:
                    self._report(error)
                    if not self.answer:  # refused: the message goes back to where it was written
                        self.draft, self.lines = draft, asked
        finally:
            async with self:
                if self._bound == bound:
                    self._finish(
                        usage,
                        note,
                        model=str(body["model"]),
                        seconds=time.monotonic() - asked_at,
                        first=first_at and first_at - asked_at,
                    )

    def _body(self, draft: str) -> dict[str, object]:
        messages = [*write_messages(self.system, self.lines), {"role": "user", "content": draft.strip()}]
        return {
            "model": self.model,
            "messages": messages,
            **self._parameters(),
            "stream_options": {"include_usage": True},
        }

    def _parameters(self) -> dict[str, object]:
        """Return the parameters that are set; what is no number counts as not set."""
        limit = _number(self.max_tokens)
        wanted = {
            "temperature": _number(self.temperature),
            "top_p": _number(self.top_p),
            "max_tokens": None if limit is None else int(limit),
        }
        return {name: value for name, value in wanted.items() if value is not None}

    async def _stream(self, body: dict[str, object]) -> AsyncGenerator[tuple[str, Tokens | None, bool], None]:
        """Yield text in pieces of a twentieth of a second, the usage when it comes, whether the limit of tokens cut it.

        The session is asked for again every second: a sign-out in another tab ends the answer here.
        """
        self._tell_browser()
        api = await runtime.connect(self._session_id())
        text, cut, flushed, checked = "", False, time.monotonic(), time.monotonic()
        async with api.stream_chat_completion(body) as payloads:
            async for payload in payloads:
                chunk = read_chunk(payload)
                if chunk.error:
                    raise ApiError(
                        status=502,
                        code="stream_error",
                        title="The answer broke off.",
                        detail=chunk.error.message,
                        request_id=None,
                        facts={},
                    )
                text, cut = text + chunk.text, cut or chunk.cut
                now = time.monotonic()
                if now - checked > _CHECK_SECONDS:
                    checked = now
                    if not self._is_still_here():
                        raise runtime.SignedOutError
                if chunk.usage or now - flushed > _FLUSH_SECONDS:
                    yield text, chunk.usage, cut
                    text, flushed = "", now
        if text or cut:
            yield text, None, cut

    def _report(self, error: OperisError) -> None:
        facts = error.facts if isinstance(error, ApiError) else {}
        if isinstance(error, ApiError) and error.status == 402 and {"required", "available", "held"} <= facts.keys():
            self.short = True
            self.failure = self._say(
                "playground.short",
                **{name: exact(str(facts[name])) for name in ("required", "available", "held")},
            )
            return
        self.failure = self._explain(error)

    def _finish(self, usage: Tokens | None, note: str, *, model: str, seconds: float, first: float) -> None:
        """Keep the answer with what it took; `first` are the seconds until its first words, 0 where there are none."""
        if self.answer or usage:
            line = ChatLine(
                role="assistant",
                text=self.answer,
                note=note,
                model=model,
                took=self._writer.milliseconds(round(seconds * 1000)),
                first=self._writer.milliseconds(round(first * 1000)) if first else "",
            )
            if usage:
                line = replace(
                    line,
                    tokens_in=self._writer.count(usage.prompt_tokens),
                    tokens_out=self._writer.count(usage.completion_tokens),
                    cost=self._writer.money(usage.cost),
                )
            self.lines = [*self.lines, line]
        self.answer, self.streaming = "", False


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) <= _NUMBER_MAX else None


@page(route="/playground", title="nav.playground", role="user", on_load=Playground.load)
def playground() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            conversation(
                Playground.lines,
                streaming=Playground.streaming,
                answer=Playground.answer,
                model=Playground.model,
            ),
            _composer(),
            class_name="flex min-w-0 flex-1 flex-col gap-4",
        ),
        rx.el.div(_parameters(), class_name="w-full shrink-0 lg:w-72"),
        dialogs.dialog(
            snippet_tabs(Playground.snippets, chosen=Playground.snippet, on_choose=Playground.choose_snippet),
            title=t("playground.code"),
            text=t("playground.code_text"),
            is_open=Playground.showing_code,
            on_open_change=Playground.show_code,
        ),
        class_name="flex flex-col gap-6 lg:flex-row lg:items-start",
    )


def _composer() -> rx.Component:
    return rx.el.form(
        alert(Playground.failure),
        rx.cond(
            Playground.short,
            page_link(t("playground.short_link"), href="/wallet", class_name=theme.LINK + " w-fit text-sm"),
            rx.fragment(),
        ),
        rx.el.div(
            rx.debounce_input(
                rx.el.textarea(
                    id="draft",
                    name="draft",
                    value=Playground.draft,
                    on_change=Playground.write_draft,
                    rows="3",
                    placeholder=t("playground.message_example"),
                    aria_label=t("playground.message"),
                    enter_key_submit=True,
                    class_name=theme.TEXTAREA + " resize-y",
                ),
                debounce_timeout=100,
                force_notify_by_enter=True,
            ),
            class_name="w-full",
        ),
        rx.el.div(
            rx.el.div(
                rx.el.button(
                    rx.icon("square-pen", size=14),
                    t("playground.clear"),
                    type="button",
                    on_click=Playground.clear,
                    class_name=theme.BUTTON_GHOST,
                ),
                rx.el.button(
                    rx.icon("code", size=14),
                    t("playground.code"),
                    type="button",
                    on_click=Playground.show_code(True),
                    class_name=theme.BUTTON_GHOST,
                ),
                class_name="-ml-2 flex flex-wrap gap-1",
            ),
            rx.cond(
                Playground.streaming,
                rx.el.button(
                    rx.icon("square", size=14),
                    t("playground.stop"),
                    type="button",
                    on_click=Playground.stop,
                    class_name=theme.BUTTON_OUTLINE,
                ),
                rx.el.button(
                    rx.icon("send-horizontal", size=14),
                    t("playground.send"),
                    type="submit",
                    disabled=~rx.State.is_hydrated | (Playground.model == ""),
                    class_name=theme.BUTTON,
                ),
            ),
            class_name="flex items-center justify-between gap-2",
        ),
        on_submit=Playground.ask,
        class_name="flex flex-col gap-3",
    )


def _parameters() -> rx.Component:
    return card(
        field(
            t("playground.model"),
            rx.el.select(
                rx.foreach(Playground.models, lambda model: rx.el.option(model, value=model)),
                id="model",
                value=Playground.model,
                on_change=Playground.choose_model,
                class_name=theme.SELECT,
            ),
            name="model",
        ),
        rx.cond(
            Playground.loaded & (Playground.models.length() == 0),
            rx.el.p(t("playground.no_models"), class_name=theme.HINT),
            rx.fragment(),
        ),
        field(
            t("playground.system"),
            rx.debounce_input(
                rx.el.textarea(
                    id="system",
                    value=Playground.system,
                    on_change=Playground.write_system,
                    rows="4",
                    placeholder=t("playground.system_example"),
                    class_name=theme.TEXTAREA + " resize-y",
                ),
                debounce_timeout=250,
            ),
            name="system",
        ),
        rx.el.div(
            field(
                t("playground.temperature"),
                rx.debounce_input(
                    text_input(
                        "temperature",
                        input_mode="decimal",
                        pattern="[0-9]*[.]?[0-9]*",
                        placeholder="1",
                        value=Playground.temperature,
                        on_change=Playground.write_temperature,
                    ),
                    debounce_timeout=250,
                ),
                name="temperature",
            ),
            field(
                t("playground.max_tokens"),
                rx.debounce_input(
                    text_input(
                        "max_tokens",
                        input_mode="numeric",
                        pattern="[0-9]*",
                        placeholder=NOTHING,
                        value=Playground.max_tokens,
                        on_change=Playground.write_max_tokens,
                    ),
                    debounce_timeout=250,
                ),
                name="max_tokens",
            ),
            field(
                t("playground.top_p"),
                rx.debounce_input(
                    text_input(
                        "top_p",
                        input_mode="decimal",
                        pattern="[0-9]*[.]?[0-9]*",
                        placeholder="1",
                        value=Playground.top_p,
                        on_change=Playground.write_top_p,
                    ),
                    debounce_timeout=250,
                ),
                name="top_p",
            ),
            class_name="grid grid-cols-2 gap-3",
        ),
        title=t("playground.parameters"),
    )
