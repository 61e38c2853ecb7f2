"""The compose file against the Compose Specification's own schema, and against what we promise of it.

`compose_spec.json` is `compose/config/compose_spec.json` of the wheel docker-compose 1.29.2 (Apache-2.0).
"""

import json
import re
from pathlib import Path
from typing import cast

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
Service = dict[str, object]


def services() -> dict[str, Service]:
    return cast("dict[str, Service]", yaml.safe_load(TEXT)["services"])


def environment(service: str) -> dict[str, str]:
    return cast("dict[str, str]", services()[service]["environment"])


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose_spec.json").read_text())
    jsonschema.validate(yaml.safe_load(TEXT), schema, cls=jsonschema.Draft7Validator)


def test_services_start_in_the_order_of_their_health() -> None:
    order = {name: service.get("depends_on") for name, service in services().items()}
    assert order == {
        "db": None,
        "migrate": {"db": {"condition": "service_healthy"}},
        "api": {"migrate": {"condition": "service_completed_successfully"}},
        "dashboard": {"api": {"condition": "service_healthy"}},
    }
    for image in ("api", "dashboard"):
        assert "HEALTHCHECK" in (ROOT / "apps" / image / "Dockerfile").read_text()


def test_every_secret_is_required_with_a_message_and_listed_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in ("OPERIS_SECRET_KEY", "OPERIS_DB_OWNER_PASSWORD", "OPERIS_DB_APP_PASSWORD"):
        assert re.search(rf"\$\{{{name}:\?[^}}]+\}}", TEXT), name
        assert re.search(rf"^{name}=$", example, re.MULTILINE), name
    for name in re.findall(r"\$\{(\w+)", TEXT):
        assert name in example, name


def test_only_the_migrations_hold_the_owner_role_and_the_dashboard_no_database() -> None:
    assert "operis_owner" in environment("migrate")["OPERIS_MIGRATE_DATABASE_URL"]
    assert "operis_app:" in environment("api")["DATABASE_URL"]
    assert "operis_owner" not in json.dumps(environment("api"))
    assert "postgresql" not in json.dumps(environment("dashboard"))


def test_the_databases_health_is_a_question_and_its_data_a_volume() -> None:
    database = services()["db"]
    assert "select 1" in str(database["healthcheck"])
    assert "database:/var/lib/postgresql" in cast("list[str]", database["volumes"])


def test_nothing_of_ours_runs_as_root_or_writes_to_its_image() -> None:
    for name in ("migrate", "api", "dashboard"):
        assert services()[name]["read_only"] is True
        assert services()[name]["cap_drop"] == ["ALL"]
    for image in ("api", "dashboard"):
        dockerfile = (ROOT / "apps" / image / "Dockerfile").read_text()
        final = dockerfile.rpartition("\nFROM ")[2]
        assert re.search(r"^USER operis$", final, re.MULTILINE)
        assert "nodejs" not in final
        assert "# syntax=" not in dockerfile
