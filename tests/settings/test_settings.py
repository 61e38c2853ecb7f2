"""A setting that cannot be used stops the start, and the message names it."""

import asyncio
import os
import secrets
import stat
import sys
from pathlib import Path

import pytest

from operis_api.settings import SettingError, Settings, read_settings

KEY = secrets.token_hex(32)
PRODUCTION = {
    "OPERIS_ENV": "production",
    "DATABASE_URL": "postgresql://app@db/operis",
    "OPERIS_PUBLIC_API_URL": "https://api.operis.test",
    "OPERIS_PUBLIC_DASHBOARD_URL": "https://operis.test",
    "OPERIS_SECRET_KEY": KEY,
}


def development(tmp_path: Path, **settings: str) -> Settings:
    return read_settings({"OPERIS_HOME": str(tmp_path), **settings})


def test_development_needs_no_setting_at_all(tmp_path: Path) -> None:
    settings = development(tmp_path)
    assert (settings.environment, settings.production, settings.database_url) == ("development", False, None)
    assert (settings.api_port, settings.dashboard_port) == (3001, 3000)
    assert (settings.public_api_url, settings.public_dashboard_url) == (
        "http://127.0.0.1:3001",
        "http://127.0.0.1:3000",
    )
    assert (settings.registration, settings.echo_enabled, settings.api_workers) == ("open", True, 1)
    assert [str(network) for network in settings.upstream_allowed_networks] == ["127.0.0.0/8", "::1/128"]
    assert settings.trusted_proxies == ()


def test_developments_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = development(tmp_path / "new")
    assert len(first.secret_key) >= 43
    assert development(tmp_path / "new").secret_key == first.secret_key
    assert development(tmp_path / "other").secret_key != first.secret_key
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret_key"]


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    settings = development(tmp_path, OPERIS_SECRET_KEY=KEY)
    keys = {settings.derive_key(purpose) for purpose in ("vault", "access-token", "refresh-token", "api-key-pepper")}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)
    assert settings.derive_key("vault") != development(tmp_path, OPERIS_SECRET_KEY=KEY[::-1]).derive_key("vault")


def test_production_keeps_its_defaults_closed() -> None:
    settings = read_settings(PRODUCTION)
    assert settings.production
    assert settings.echo_enabled is False
    assert settings.upstream_allowed_networks == ()


WRONG = [
    ("OPERIS_ENV", "prod"),
    ("OPERIS_ENV", "Production"),
    ("OPERIS_REGISTRATION", "yes"),
    ("OPERIS_API_PORT", "0"),
    ("OPERIS_API_PORT", "65536"),
    ("OPERIS_API_PORT", "-1"),
    ("OPERIS_API_PORT", "http"),
    ("OPERIS_API_PORT", "3001.0"),
    ("OPERIS_API_PORT", "\u0663"),
    ("OPERIS_API_PORT", "3000"),  # the dashboard's
    ("OPERIS_DASHBOARD_PORT", "3001"),
    ("OPERIS_DASHBOARD_PORT", "99999"),
    ("OPERIS_API_WORKERS", "0"),
    ("OPERIS_API_WORKERS", "65"),
    ("OPERIS_ECHO_MODEL", "maybe"),
    ("DATABASE_URL", "mysql://localhost/operis"),
    ("DATABASE_URL", "operis"),
    ("OPERIS_MIGRATE_DATABASE_URL", "sqlite:///operis.db"),
    ("OPERIS_LISTEN_DATABASE_URL", "redis://localhost"),
    ("OPERIS_PUBLIC_API_URL", "api.example.com"),
    ("OPERIS_PUBLIC_API_URL", "ftp://api.example.com"),
    ("OPERIS_PUBLIC_API_URL", "https://"),
    ("OPERIS_PUBLIC_API_URL", "https://api.example.com/v1"),
    ("OPERIS_PUBLIC_API_URL", "https://api.example.com?x=1"),
    ("OPERIS_PUBLIC_API_URL", "https://api.example.com#x"),
    ("OPERIS_PUBLIC_API_URL", "https://user@api.example.com"),
    ("OPERIS_PUBLIC_API_URL", "https://[::1"),
    ("OPERIS_PUBLIC_API_URL", "https://api.example.com:port"),
    ("OPERIS_PUBLIC_API_URL", "https://api.example.com:99999"),
    ("OPERIS_PUBLIC_DASHBOARD_URL", "javascript:alert(1)"),
    ("OPERIS_TRUSTED_PROXIES", "everybody"),
    ("OPERIS_TRUSTED_PROXIES", "10.0.0.1/8"),
    ("OPERIS_TRUSTED_PROXIES", "10.0.0.0/33"),
    ("OPERIS_UPSTREAM_ALLOWED_NETWORKS", "localhost"),
    ("OPERIS_UPSTREAM_ALLOWED_NETWORKS", "10.0.0.0/8;fd00::/8"),
    ("OPERIS_SECRET_KEY", "short"),
    ("OPERIS_SECRET_KEY", "k" * 31),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: text[:40])
def test_a_wrong_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        development(tmp_path, **{name: value})


@pytest.mark.parametrize("name", [name for name in PRODUCTION if name != "OPERIS_ENV"])
@pytest.mark.parametrize("value", [None, ""])
def test_production_refuses_a_missing_setting_by_name(name: str, value: str | None) -> None:
    settings = {key: setting for key, setting in PRODUCTION.items() if key != name}
    if value is not None:
        settings[name] = value
    with pytest.raises(SettingError, match=name):
        read_settings(settings)


@pytest.mark.parametrize(
    "key",
    [
        "a" * 64,
        "abababababababababababababababababababab",
        "12345678901234567890123456789012345678901234567890",
        "changeme-changeme-changeme-changeme-1234567890",
        "this-is-my-secret-key-for-the-whole-production",
        "PLACEHOLDER-0123456789-abcdefghijklmnopqrstuvw",
        "example-0123456789-abcdefghijklmnopqrstuvwxyz",
        "password0123456789abcdefghijklmnopqrstuvwxyz",
        "default-0123456789-abcdefghijklmnopqrstuvwxyz",
        "xxxxxxxx-0123456789-abcdefghijklmnopqrstuvwxyz",
        "k3J9" * 8,
        "short-but-random",
    ],
)
def test_production_refuses_a_placeholder_for_its_secret(key: str) -> None:
    with pytest.raises(SettingError, match="OPERIS_SECRET_KEY") as refusal:
        read_settings({**PRODUCTION, "OPERIS_SECRET_KEY": key})
    assert key not in str(refusal.value)


def test_networks_and_flags_are_read() -> None:
    settings = read_settings(
        {
            **PRODUCTION,
            "OPERIS_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8 ,",
            "OPERIS_UPSTREAM_ALLOWED_NETWORKS": "192.168.7.7/32",
            "OPERIS_ECHO_MODEL": "1",
            "OPERIS_REGISTRATION": "closed",
        }
    )
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert [str(network) for network in settings.upstream_allowed_networks] == ["192.168.7.7/32"]
    assert (settings.echo_enabled, settings.registration) == (True, "closed")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_a_database_address_may_be_written_as_people_write_it(tmp_path: Path, scheme: str) -> None:
    assert development(tmp_path, DATABASE_URL=f"{scheme}://a:b@h:1/d").database_url == "postgresql://a:b@h:1/d"


async def test_the_command_says_it_in_one_line_and_ends_with_status_2(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "operis_api.cli",
        "api",
        env={"PATH": os.environ["PATH"], "OPERIS_HOME": str(tmp_path), "OPERIS_ENV": "production"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert err.decode().startswith("operis: DATABASE_URL is not set")
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("name", ["OPERIS_PUBLIC_API_URL", "OPERIS_PUBLIC_DASHBOARD_URL"])
def test_production_serves_strangers_over_https_alone(name: str) -> None:
    with pytest.raises(SettingError, match=rf"{name}.*https"):
        read_settings({**PRODUCTION, name: "http://operis.test"})
    local = read_settings({**PRODUCTION, name: "http://localhost:3001"})
    assert local.production


@pytest.mark.parametrize(("setting", "exposed"), [("0", False), ("1", True), ("", False)])
def test_production_opens_reference_and_figures_only_on_request(setting: str, *, exposed: bool) -> None:
    settings = read_settings({**PRODUCTION, "OPERIS_DOCS": setting, "OPERIS_METRICS": setting})
    assert (settings.docs_exposed, settings.metrics_exposed) == (exposed, exposed)


def test_production_refuses_to_be_killed_by_a_drill(tmp_path: Path) -> None:
    assert development(tmp_path, OPERIS_CRASH_AT="after_hold:3").crash_at == ("after_hold", 3)
    with pytest.raises(SettingError, match=r"OPERIS_CRASH_AT.*production"):
        read_settings({**PRODUCTION, "OPERIS_CRASH_AT": "after_hold:3"})


ACME = '{"name": "acme", "issuer": "https://id.acme.test", "client_id": "operis", "client_secret": "hush-hush"}'


def test_identity_providers_are_a_list_in_json() -> None:
    found = read_settings({**PRODUCTION, "OPERIS_IDENTITY_PROVIDERS": f"[{ACME}]"}).identity_providers
    assert [(one.name, one.issuer, one.client_secret) for one in found] == [
        ("acme", "https://id.acme.test", "hush-hush")
    ]
    assert read_settings(PRODUCTION).identity_providers == ()


@pytest.mark.parametrize(
    "value",
    [
        "acme",
        ACME,
        f"[{ACME}, {ACME}]",
        f"[{ACME.replace('acme', 'Acme Inc', 1)}]",
        f"[{ACME.replace('https://', 'http://')}]",
        f"[{ACME.replace('https://id.acme.test', '')}]",
        f"[{ACME.replace('hush-hush', '')}]",
        f"[{ACME.replace('client_id', 'client')}]",
    ],
)
def test_a_wrong_list_of_identity_providers_stops_the_start_and_tells_no_secret(value: str) -> None:
    with pytest.raises(SettingError, match="OPERIS_IDENTITY_PROVIDERS") as found:
        read_settings({**PRODUCTION, "OPERIS_IDENTITY_PROVIDERS": value})
    assert "hush" not in str(found.value)
