"""Upstreams as text: how each is, which credentials it has, and which models it serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import ModelRow, Upstream, UpstreamTest
from operis_dashboard.formatting import NOTHING, Shown, Writer


@dataclass(frozen=True)
class CredentialRow:
    id: str = ""
    """Empty: the first one, which can be replaced but not removed."""
    last_four: str = ""
    since: Shown = default(default_factory=Shown)


@dataclass(frozen=True)
class ServedRow:
    link_id: str = ""
    model: str = ""
    upstream_model: str = ""
    weight: str = ""
    priority: str = ""


@dataclass(frozen=True)
class UpstreamRow:
    id: str = ""
    name: str = ""
    protocol: str = ""
    base_url: str = ""
    enabled: bool = True
    builtin: bool = False
    status: str = ""
    """Disabled, or else how it is."""
    note: Shown = default(default_factory=Shown)
    """The one thing worth knowing beside the status."""
    models: str = ""
    key: str = ""
    further: int = 0
    credentials: list[CredentialRow] = default(default_factory=list)
    checked: Shown = default(default_factory=Shown)
    latency: str = ""
    check_error: str = ""
    resting_until: Shown = default(default_factory=Shown)
    failures: str = ""
    last_error: str = ""
    last_error_at: Shown = default(default_factory=Shown)


@dataclass(frozen=True)
class ResultRow:
    """What a test found; `upstream_id` says whose."""

    upstream_id: str = ""
    ok: bool = False
    latency: str = ""
    error: str = ""
    models: list[str] = default(default_factory=list)


def write_upstream(upstream: Upstream, writer: Writer) -> UpstreamRow:
    health, builtin = upstream.health, upstream.protocol == "echo"
    last_four = _masked(upstream.api_key_last_four)
    return UpstreamRow(
        id=upstream.id,
        name=upstream.name,
        protocol=upstream.protocol,
        base_url=upstream.base_url or NOTHING,
        enabled=upstream.enabled,
        builtin=builtin,
        status="disabled" if not upstream.enabled else "enabled" if builtin else health.state,
        note=_note(upstream, writer) if upstream.enabled and not builtin else Shown(),
        models=writer.count(upstream.models),
        key=NOTHING if builtin else last_four,
        further=len(upstream.further_keys),
        credentials=[
            CredentialRow(last_four=last_four, since=writer.moment(upstream.created_at)),
            *(
                CredentialRow(id=key.id, last_four=_masked(key.last_four), since=writer.moment(key.created_at))
                for key in upstream.further_keys
            ),
        ],
        checked=writer.moment(health.checked_at),
        latency=writer.milliseconds(health.check_latency_ms),
        check_error=health.check_error or "",
        resting_until=writer.moment(health.resting_until),
        failures=writer.count(health.failures),
        last_error=health.last_error or "",
        last_error_at=writer.moment(health.last_error_at),
    )


def write_served(upstream_id: str, models: Sequence[ModelRow]) -> list[ServedRow]:
    """Return the models that an upstream serves, and its share in each."""
    return [
        ServedRow(
            link_id=link.id,
            model=model.id,
            upstream_model=link.upstream_model,
            weight=str(link.weight),
            priority=str(link.priority),
        )
        for model in models
        for link in model.upstreams
        if link.upstream_id == upstream_id
    ]


def write_test(upstream_id: str, found: UpstreamTest, writer: Writer) -> ResultRow:
    return ResultRow(
        upstream_id=upstream_id,
        ok=found.ok,
        latency=writer.milliseconds(found.latency_ms),
        error=found.error or str(found.status or NOTHING),
        models=found.models,
    )


def _note(upstream: Upstream, writer: Writer) -> Shown:
    health = upstream.health
    if health.state == "resting":
        return writer.clock(health.resting_until)
    if health.state == "failing":
        error = health.check_error or health.last_error or ""
        return Shown(error, error)
    return Shown(writer.milliseconds(health.check_latency_ms) if health.checked_at else "", "")


def _masked(last_four: str) -> str:
    return f"…{last_four or '••••'}"
