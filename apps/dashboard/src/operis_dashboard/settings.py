"""What a deployment may set for the dashboard, read from the environment; a wrong value names its setting."""

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SECRET_CHARACTERS_MIN = 32


class SettingError(Exception):
    """A setting cannot be used. The message names the setting and the cure; it is shown without a traceback."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    production: bool
    home: Path
    host: str
    port: int
    api_url: str
    """Where this process reaches the API."""
    public_api_url: str
    """Where customers reach it: what the snippets show."""
    public_url: str
    """The dashboard's own address, as browsers write it."""
    registration: str
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def secure(self) -> bool:
        """Whether browsers come by https, so that cookies can insist on it."""
        return self.public_url.startswith("https://")

    @property
    def allowed_origins(self) -> list[str]:
        """Origins whose pages may open the socket and post to the cookie routes."""
        local = [f"http://{name}:{self.port}" for name in ("localhost", "127.0.0.1")]
        return [self.public_url, *(() if self.production else local)]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings, or raise `SettingError` naming the first one that cannot be used."""
    port = _port(environ, "OPERIS_DASHBOARD_PORT", 3000)
    api_port = _port(environ, "OPERIS_API_PORT", 3001)
    public_api_url = _url(environ, "OPERIS_PUBLIC_API_URL", f"http://127.0.0.1:{api_port}")
    return Settings(
        production=environ.get("OPERIS_ENV") == "production",
        home=Path(environ.get("OPERIS_HOME") or ".operis").absolute(),
        host=environ.get("OPERIS_DASHBOARD_HOST") or "127.0.0.1",
        port=port,
        api_url=_url(environ, "OPERIS_API_URL", public_api_url),
        public_api_url=public_api_url,
        public_url=_url(environ, "OPERIS_PUBLIC_DASHBOARD_URL", f"http://127.0.0.1:{port}"),
        registration=environ.get("OPERIS_REGISTRATION") or "open",
        trusted_proxies=_networks(environ, "OPERIS_TRUSTED_PROXIES"),
    )


def read_session_key(settings: Settings, environ: Mapping[str, str] = os.environ) -> bytes:
    """Return the 32 bytes that sessions are encrypted with, derived from the root secret.

    In development without OPERIS_SECRET_KEY the root secret is the one kept below `home`, made here if this
    is the first process of the first run.
    """
    root = environ.get("OPERIS_SECRET_KEY") or ""
    if not root and settings.production:
        raise SettingError("OPERIS_SECRET_KEY is not set; make one with: openssl rand -base64 48")
    root = root or _kept_secret(settings.home)
    if len(root) < SECRET_CHARACTERS_MIN:
        raise SettingError(
            f"OPERIS_SECRET_KEY has {len(root)} characters; use at least {SECRET_CHARACTERS_MIN}: "
            "openssl rand -base64 48"
        )
    return hmac.digest(root.encode(), b"operis/dashboard-sessions", hashlib.sha256)


def _kept_secret(home: Path) -> str:
    path = home / "secret_key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        draft = home / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(draft)  # the first writer wins: the API may be starting beside us
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise SettingError(f"{name} is {text!r}; use a whole number from 1 to 65535.")
    return int(text)


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    url = (environ.get(name) or default).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query or parts.username:
        raise SettingError(f"{name} is {url!r}; use scheme and host alone, like https://api.example.com.")
    return url


def _networks(environ: Mapping[str, str], name: str) -> tuple[Network, ...]:
    words = [word.strip() for word in (environ.get(name) or "").split(",") if word.strip()]
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError as error:
        raise SettingError(
            f"{name} is not a list of networks ({error}); write CIDRs split by commas, like 10.0.0.0/8."
        ) from None
