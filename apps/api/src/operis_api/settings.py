"""What a deployment may set, read once from the environment; a wrong value stops the start and names its setting."""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from operis_api.kit.signatures import read_public_key

Choice = TypeVar("Choice", bound=str)
ENVIRONMENTS: tuple[Literal["development", "production"], ...] = ("development", "production")
REGISTRATIONS: tuple[Literal["open", "invite", "closed"], ...] = ("open", "invite", "closed")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
SECRET_CHARACTERS_MIN = 32
_PLACEHOLDERS = ("change", "secret", "placeholder", "example", "password", "default", "xxxx")


class SettingError(Exception):
    """A setting cannot be used. The message names the setting and the cure; it is shown without a traceback."""


class SmtpServer(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    security: Literal["tls", "starttls", "offered"]
    """TLS from the first byte, by STARTTLS or not at all, or by STARTTLS where it is offered."""
    user: str | None
    password: str | None


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider that users may sign in with, by OpenID Connect."""

    name: str
    title: str = ""
    """What a page calls it; the name, where it is empty."""
    issuer: str
    """Exactly as the provider writes it."""
    client_id: str
    client_secret: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    environment: Literal["development", "production"] = "development"
    home: Path = Path(".operis")
    database_url: str | None = None
    """None: the embedded PostgreSQL below `home`."""
    migrate_database_url: str | None = None
    listen_database_url: str | None = None
    api_port: int = 3001
    dashboard_port: int = 3000
    api_workers: int = 1
    public_api_url: str
    public_dashboard_url: str
    secret_key: str
    previous_secret_keys: tuple[str, ...] = ()
    """Earlier root secrets, newest first: what was stored under them is still read."""
    admin_email: str | None = None
    admin_password: str | None = None
    registration: Literal["open", "invite", "closed"] = "open"
    registration_domains: tuple[str, ...] = ()
    """Domains whose addresses may sign up; none: all."""
    erasure_undo_days: int = 14
    """How long somebody who asked to be erased can undo that."""
    operators_need_second_factor: bool = False
    """Whether an operator without a second factor gets no further than enrolling one."""
    identity_providers: tuple[IdentityProvider, ...] = ()
    smtp: SmtpServer | None = None
    mail_from: str = "Operis <no-reply@localhost>"
    echo_enabled: bool = True
    """Whether the built-in model `operis/echo` is offered: always in development, on request in production."""
    docs_exposed: bool = True
    """Whether /docs and /openapi.json answer: always in development, on request in production."""
    metrics_exposed: bool = True
    """Whether /metrics answers: likewise."""
    leak_report_keys: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Public keys whose owners may report leaked API keys, by identifier; none: nobody may."""
    crash_at: tuple[str, int] | None = None
    """For drills: the place where this process dies, and on which visit."""
    trusted_proxies: tuple[Network, ...] = ()
    upstream_allowed_networks: tuple[Network, ...] = ()
    cors_origins: frozenset[str] = frozenset()
    """Whose pages may call /v1 from a browser."""
    upstream_connect_seconds: int = 10
    upstream_answer_seconds: int = 300
    """For the first byte of an answer that is not streamed."""
    upstream_idle_seconds: int = 120
    """For the first byte of a stream, and between any two."""
    upstream_total_seconds: int = 900
    client_seconds: int = 60
    """Within which a client has to send or take a least amount (`kit/connections.py`)."""
    bodies_mebibytes: int = 512
    """Of bodies of gateway requests in progress, in one process."""
    drain_seconds: int = 0
    """After a signal to stop, how long calls are still taken while readiness says no."""
    graceful_seconds: int = 30
    """How long running requests then have."""

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def dashboard_host(self) -> str:
        """The name by which browsers know the dashboard."""
        return urlsplit(self.public_dashboard_url).hostname or "localhost"

    @property
    def mail_folder(self) -> Path:
        """Where development without a mail server writes its mail."""
        return self.home / "mail"

    def derive_key(self, purpose: str) -> bytes:
        """Return 32 bytes that belong to `purpose` alone, so that no two uses share a secret."""
        return self.derive_keys(purpose)[0]

    def derive_keys(self, purpose: str) -> list[bytes]:
        """Return the purpose's key under each root secret, the one in force first."""
        return [
            hmac.digest(secret.encode(), f"operis/{purpose}".encode(), hashlib.sha256)
            for secret in (self.secret_key, *self.previous_secret_keys)
        ]


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings, or raise `SettingError` naming the first one that cannot be used."""
    environment: Literal["development", "production"] = _choice(environ, "OPERIS_ENV", ENVIRONMENTS)
    production = environment == "production"
    home = Path(environ.get("OPERIS_HOME") or ".operis").absolute()
    api_port = _integer(environ, "OPERIS_API_PORT", 3001, 1, 65535)
    dashboard_port = _integer(environ, "OPERIS_DASHBOARD_PORT", 3000, 1, 65535)
    if api_port == dashboard_port:
        raise SettingError(f"OPERIS_API_PORT and OPERIS_DASHBOARD_PORT are both {api_port}; give each its own port.")
    database_url = environ.get("DATABASE_URL") or None
    if production and database_url is None:
        raise SettingError(
            "DATABASE_URL is not set; production never starts the embedded PostgreSQL. Set it to your database."
        )
    public_dashboard_url = _url(
        environ, "OPERIS_PUBLIC_DASHBOARD_URL", f"http://127.0.0.1:{dashboard_port}", production=production
    )
    return Settings(
        environment=environment,
        home=home,
        database_url=_database_url("DATABASE_URL", database_url),
        migrate_database_url=_database_url("OPERIS_MIGRATE_DATABASE_URL", environ.get("OPERIS_MIGRATE_DATABASE_URL")),
        listen_database_url=_database_url("OPERIS_LISTEN_DATABASE_URL", environ.get("OPERIS_LISTEN_DATABASE_URL")),
        api_port=api_port,
        dashboard_port=dashboard_port,
        api_workers=_integer(environ, "OPERIS_API_WORKERS", 1, 1, 64),
        public_api_url=_url(environ, "OPERIS_PUBLIC_API_URL", f"http://127.0.0.1:{api_port}", production=production),
        public_dashboard_url=public_dashboard_url,
        secret_key=_secret_key(environ, home, production=production),
        previous_secret_keys=_previous_secret_keys(environ),
        admin_email=environ.get("OPERIS_ADMIN_EMAIL") or None,
        admin_password=environ.get("OPERIS_ADMIN_PASSWORD") or None,
        registration=_choice(environ, "OPERIS_REGISTRATION", REGISTRATIONS),
        registration_domains=_domains(environ, "OPERIS_REGISTRATION_DOMAINS"),
        erasure_undo_days=_integer(environ, "OPERIS_ERASURE_UNDO_DAYS", 14, 0, 365),
        operators_need_second_factor=_flag(environ, "OPERIS_OPERATORS_NEED_SECOND_FACTOR", default=False),
        identity_providers=_identity_providers(environ, "OPERIS_IDENTITY_PROVIDERS", production=production),
        smtp=_smtp(environ, "OPERIS_SMTP_URL", production=production),
        mail_from=_mail_from(environ, "OPERIS_MAIL_FROM", urlsplit(public_dashboard_url).hostname or "localhost"),
        echo_enabled=_flag(environ, "OPERIS_ECHO_MODEL", default=not production),
        docs_exposed=_flag(environ, "OPERIS_DOCS", default=not production),
        metrics_exposed=_flag(environ, "OPERIS_METRICS", default=not production),
        leak_report_keys=_leak_report_keys(environ),
        crash_at=_crash(environ, "OPERIS_CRASH_AT", production=production),
        trusted_proxies=_networks(environ, "OPERIS_TRUSTED_PROXIES"),
        upstream_allowed_networks=(
            *_networks(environ, "OPERIS_UPSTREAM_ALLOWED_NETWORKS"),
            *(() if production else LOOPBACK),
        ),
        cors_origins=_origins(environ, "OPERIS_CORS_ORIGINS"),
        upstream_connect_seconds=_integer(environ, "OPERIS_UPSTREAM_CONNECT_SECONDS", 10, 1, 600),
        upstream_answer_seconds=_integer(environ, "OPERIS_UPSTREAM_ANSWER_SECONDS", 300, 1, 3600),
        upstream_idle_seconds=_integer(environ, "OPERIS_UPSTREAM_IDLE_SECONDS", 120, 1, 3600),
        upstream_total_seconds=_integer(environ, "OPERIS_UPSTREAM_TOTAL_SECONDS", 900, 1, 86400),
        client_seconds=_integer(environ, "OPERIS_CLIENT_SECONDS", 60, 1, 600),
        bodies_mebibytes=_integer(environ, "OPERIS_BODIES_MEBIBYTES", 512, 20, 65536),
        drain_seconds=_integer(environ, "OPERIS_DRAIN_SECONDS", 5 if production else 0, 0, 600),
        graceful_seconds=_integer(environ, "OPERIS_GRACEFUL_SECONDS", 30, 1, 3600),
    )


def _choice(environ: Mapping[str, str], name: str, allowed: tuple[Choice, ...]) -> Choice:
    """Return the setting's value, or the first of `allowed` where it is not set."""
    value = environ.get(name) or allowed[0]
    for choice in allowed:
        if choice == value:
            return choice
    raise SettingError(f"{name} is {value!r}; use one of: {', '.join(allowed)}.")


def _integer(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise SettingError(f"{name} is {text!r}; use a whole number from {least} to {most}.")
    return int(text)


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = (environ.get(name) or "").lower()
    if text not in {"", "0", "1", "true", "false"}:
        raise SettingError(f"{name} is {text!r}; use 1 or 0.")
    return default if not text else text in {"1", "true"}


def _crash(environ: Mapping[str, str], name: str, *, production: bool) -> tuple[str, int] | None:
    text = environ.get(name)
    if not text:
        return None
    if production:
        raise SettingError(f"{name} is set; it kills processes in drills, and production refuses it.")
    place, _, visits = text.partition(":")
    if not place or not visits.isascii() or not visits.isdigit() or int(visits) == 0:
        raise SettingError(f"{name} is {text!r}; name a place and a visit, like after_hold:3.")
    return place, int(visits)


def _database_url(name: str, url: str | None) -> str | None:
    if not url:
        return None
    scheme = url.split("://", 1)[0]
    if scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
        raise SettingError(f"{name} does not begin with postgresql://; Operis runs on PostgreSQL alone.")
    return url.replace(f"{scheme}://", "postgresql://", 1)


def _url(environ: Mapping[str, str], name: str, default: str, *, production: bool) -> str:
    url = (environ.get(name) or "").rstrip("/")
    if not url:
        if production:
            raise SettingError(f"{name} is not set; production needs the address that browsers and SDKs use.")
        return default
    if not _is_origin(url):
        raise SettingError(f"{name} is {url!r}; use scheme and host alone, like https://api.example.com.")
    if production and url.startswith("http://") and urlsplit(url).hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise SettingError(f"{name} is {url!r}; production serves strangers over https:// alone. Put TLS in front.")
    return url


_SMTP: dict[str, tuple[Literal["tls", "starttls", "offered"], int]] = {
    "smtps": ("tls", 465),
    "starttls": ("starttls", 587),
    "smtp": ("offered", 25),
}


def _smtp(environ: Mapping[str, str], name: str, *, production: bool) -> SmtpServer | None:
    """Read smtps://, starttls:// or smtp://user:password@host:port; the message never repeats the password."""
    url = environ.get(name) or ""
    if not url:
        return None
    try:
        parts: SplitResult | None = urlsplit(url)
        port = parts.port if parts else None
    except ValueError:
        parts, port = None, None
    if parts is None or parts.scheme not in _SMTP or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingError(
            f"{name} is no mail server; write smtps://user:password@host:465, or starttls:// or smtp://."
        )
    security, default_port = _SMTP[parts.scheme]
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if production and security == "offered" and parts.password and not local:
        raise SettingError(f"{name} would send its password in clear; begin it with smtps:// or starttls://.")
    return SmtpServer(
        host=parts.hostname,
        port=port or default_port,
        security=security,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _identity_providers(environ: Mapping[str, str], name: str, *, production: bool) -> tuple[IdentityProvider, ...]:
    """Read a JSON list; the message never repeats a secret."""
    try:
        found = msgspec.json.decode(environ.get(name) or "[]", type=tuple[IdentityProvider, ...])
    except ValueError:
        raise SettingError(
            f"{name} is no list of providers; write JSON like "
            '[{"name": "acme", "title": "Acme", "issuer": "https://id.acme.com", "client_id": "…", '
            '"client_secret": "…"}].'
        ) from None
    names = [provider.name for provider in found]
    for provider in found:
        if not re.fullmatch(r"[a-z0-9-]{1,32}", provider.name) or names.count(provider.name) > 1:
            raise SettingError(f"{name} names {provider.name!r}; use letters, digits and -, each name once.")
        parts = urlsplit(provider.issuer)
        if parts.scheme not in ({"https"} if production else {"https", "http"}) or not parts.hostname or parts.query:
            raise SettingError(
                f"{name} has for {provider.name} the issuer {provider.issuer!r}; it begins with https://."
            )
        if not provider.client_id or not provider.client_secret:
            raise SettingError(f"{name} has no client_id or client_secret for {provider.name}.")
    return found


def _mail_from(environ: Mapping[str, str], name: str, host: str) -> str:
    """Return the sender of all mail, as `Name <address>`."""
    sender = environ.get(name) or f"Operis <no-reply@{host}>"
    shown, address = parseaddr(sender)
    try:
        Address(shown, addr_spec=address)
    except (ValueError, MessageError, IndexError):
        raise SettingError(f"{name} is {sender!r}; write it like Operis <no-reply@example.com>.") from None
    return sender


def _domains(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = [word.strip().lower() for word in (environ.get(name) or "").split(",") if word.strip()]
    if any("@" in word or "." not in word for word in words):
        raise SettingError(f"{name} is not a list of domains; split them by commas, like example.com,example.org.")
    return tuple(words)


def _is_origin(url: str) -> bool:
    """Tell whether the URL is scheme, host and perhaps port, and nothing else."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    bare = url == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc and " " not in parts.netloc
    return named and bare and parts.scheme in {"http", "https"}


def _origins(environ: Mapping[str, str], name: str) -> frozenset[str]:
    origins = [word.strip() for word in (environ.get(name) or "").split(",") if word.strip()]
    for origin in origins:
        if not _is_origin(origin):
            raise SettingError(f"{name} holds {origin!r}; write scheme and host alone, like https://app.example.com.")
    return frozenset(origins)


def _networks(environ: Mapping[str, str], name: str) -> tuple[Network, ...]:
    words = [word.strip() for word in (environ.get(name) or "").split(",") if word.strip()]
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError as error:
        raise SettingError(
            f"{name} is not a list of networks ({error}); write CIDRs split by commas, like 10.0.0.0/8."
        ) from None


def _leak_report_keys(environ: Mapping[str, str]) -> dict[str, str]:
    words = [word.strip() for word in (environ.get("OPERIS_LEAK_REPORT_KEYS") or "").split(",") if word.strip()]
    keys: dict[str, str] = {}
    for word in words:
        identifier, _, key = word.partition(":")
        try:
            read_public_key(key)
        except ValueError as error:
            raise SettingError(
                f"OPERIS_LEAK_REPORT_KEYS: {identifier[:80]} is no public key ({error}); write identifier:base64, "
                "split by commas, where the base64 is what a PEM holds between its first and last line."
            ) from None
        keys[identifier] = key
    return keys


def _secret_key(environ: Mapping[str, str], home: Path, *, production: bool) -> str:
    """Return the root secret: as set, or in development one made on the first run and kept below `home`."""
    key = environ.get("OPERIS_SECRET_KEY") or ""
    if key:
        _refuse_weak_secret(key, production=production)
        return key
    if production:
        raise SettingError("OPERIS_SECRET_KEY is not set; make one with: openssl rand -base64 48")
    path = home / "secret_key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        draft = home / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(draft)  # the first writer wins; processes that start together read one secret
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _previous_secret_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    keys = tuple(word.strip() for word in (environ.get("OPERIS_SECRET_KEY_PREVIOUS") or "").split(",") if word.strip())
    for key in keys:
        if len(key) < SECRET_CHARACTERS_MIN:
            raise SettingError("OPERIS_SECRET_KEY_PREVIOUS names a secret that can never have been the root secret.")
    return keys


def _refuse_weak_secret(key: str, *, production: bool) -> None:
    if len(key) < SECRET_CHARACTERS_MIN:
        raise SettingError(
            f"OPERIS_SECRET_KEY has {len(key)} characters; use at least {SECRET_CHARACTERS_MIN}: "
            "openssl rand -base64 48"
        )
    if production and (len(set(key)) < 12 or any(word in key.lower() for word in _PLACEHOLDERS)):
        raise SettingError("OPERIS_SECRET_KEY looks like a placeholder; make a random one: openssl rand -base64 48")
