"""Prices from files: read exactly, reviewed as a diff, and applied as reviewed or not at all."""

import asyncio
import json
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operis_client import ApiError, AsyncOperis
from operis_client.models import PriceChange, PriceImport
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream
from tests.refusing import refused
from tests.running import Api, environment

SONNET = """{
  "sample_spec": {"input_cost_per_token": 1, "output_cost_per_token": 1},
  "NAME": {
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
    "cache_read_input_token_cost": 3e-07, "cache_creation_input_token_cost": 3.75e-06,
    "cache_creation_input_token_cost_above_1hr": 6e-06,
    "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
    "cache_read_input_token_cost_above_200k_tokens": 6e-07,
    "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
    "search_context_cost_per_query": {"search_context_size_low": 0.01},
    "litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 200000
  },
  "others/model": {"input_cost_per_token": "1e-6", "output_cost_per_token": 2e-6}
}"""


@pytest.fixture
async def model(admin: AsyncOperis, provider: OpenAIUpstream) -> str:
    """A model without a price, called `up-…` by its upstream."""
    model = f"acme/{secrets.token_hex(4)}"
    upstream = await admin.create_upstream(name=model, base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id=model, upstream_id=upstream.id, upstream_model=model.replace("acme/", "up-"))
    return model


def change_of(review: PriceImport, model: str) -> PriceChange:
    return next(change for change in review.changes if change.model_id == model)


def fields_of(change: PriceChange) -> dict[str, tuple[str | None, str | None]]:
    return {field.field: (field.before, field.after) for field in change.fields}


def one(model: str, **prices: object) -> str:
    return json.dumps([{"model_id": model, **prices}])


async def test_litellms_file_is_read_exactly_and_found_by_the_upstreams_name(admin: AsyncOperis, model: str) -> None:
    file = SONNET.replace("NAME", model.replace("acme/", "up-"))
    review = await admin.import_prices(format="litellm", file=file, markup="1.1")
    change = change_of(review, model)
    assert (change.status, change.source, change.why) == ("new", model.replace("acme/", "up-"), None)
    assert change.ignored == ["search_context_cost_per_query"]
    assert (review.added, review.unused) == (0, 1)
    assert (await admin.list_prices(model_id=model)).items == []

    applied = await admin.import_prices(format="litellm", file=file, markup="1.1", plan=review.plan, models=[model])
    assert applied.added == 1
    (price,) = (await admin.list_prices(model_id=model)).items
    assert (price.input, price.output, price.cached_input) == ("3.3", "16.5", "0.33")
    assert (price.cache_write_5m, price.cache_write_1h, price.reasoning) == ("4.125", "6.6", None)
    assert (price.cost_input, price.cost_output, price.cost_cache_write_5m) == ("3", "15", "3.75")
    (tier,) = price.tiers
    assert (tier.from_prompt_tokens, tier.input, tier.output, tier.cost_input) == (200_001, "6.6", "24.75", "6")
    assert (tier.cached_input, tier.cache_write_5m, tier.cache_write_1h) == ("0.66", "8.25", None)
    again = await admin.import_prices(format="litellm", file=file, markup="11/10")
    assert (change_of(again, model).status, change_of(again, model).fields) == ("unchanged", [])


async def test_a_change_says_old_new_and_percent_and_flags_what_looks_wrong(admin: AsyncOperis, model: str) -> None:
    await admin.create_price(model_id=model, input="1", output="4", cached_input="0.1", cost_input="0.5")
    file = one(model, input="1.25", output="40", cost_input="0.5", cost_output="41", reasoning="3")
    change = change_of(await admin.import_prices(format="json", file=file), model)
    assert change.status == "changed"
    assert [(field.field, field.before, field.after, field.percent) for field in change.fields] == [
        ("input", "1", "1.25", "+25.0"),
        ("cached_input", "0.1", None, None),
        ("output", "4", "40", "+900.0"),
        ("reasoning", None, "3", None),
        ("cost_output", None, "41", None),
    ]
    assert change.flags == ["output jumps from 4 to 40", "output is sold below its cost"]


async def test_what_is_flagged_is_applied_only_where_it_is_named(admin: AsyncOperis, model: str) -> None:
    await admin.create_price(model_id=model, input="1", output="1")
    file = one(model, input="10", output="1")
    review = await admin.import_prices(format="json", file=file)
    with refused(422, "invalid_field") as refusal:
        await admin.import_prices(format="json", file=file, plan=review.plan)
    assert refusal.error.facts["field"] == "models"
    assert (await admin.import_prices(format="json", file=file, plan=review.plan, models=[model])).added == 1


async def test_only_the_diff_that_was_reviewed_is_applied_and_only_once(
    api: Api, admin: AsyncOperis, model: str
) -> None:
    file = one(model, input="1", output="2")
    review = await admin.import_prices(format="json", file=file)
    others: list[dict[str, Any]] = [
        {"file": one(model, input="1", output="2.1")},
        {"file": file + " "},
        {"file": file, "markup": "2"},
        {"file": file, "effective_from": datetime.now(UTC) + timedelta(days=1)},
        {"file": file, "plan": review.plan[:-1] + ("0" if review.plan[-1] != "0" else "1")},
    ]
    for other in others:
        arguments: dict[str, Any] = {"format": "json", "models": [model], "plan": review.plan, **other}
        with refused(409, "import_changed"):
            await admin.import_prices(**arguments)
    await admin.update_model(model, name="Renamed")  # the catalog is another one now
    with refused(409, "import_changed"):
        await admin.import_prices(format="json", file=file, models=[model], plan=review.plan)
    review = await admin.import_prices(format="json", file=file)

    async def apply() -> int:
        try:
            return (await admin.import_prices(format="json", file=file, models=[model], plan=review.plan)).added
        except ApiError as error:
            assert error.code == "import_changed"  # noqa: PT017  # the sum says that one got through
            return 0

    assert sum(await asyncio.gather(*(apply() for _ in range(8)))) == 1
    assert len((await admin.list_prices(model_id=model)).items) == 1
    events = await api.database.fetch(
        "SELECT action FROM audit_events WHERE target_id = $1 OR after ->> 'model' = $2 ORDER BY action",
        review.plan,
        model,
    )
    assert [event["action"] for event in events] == ["price.create", "price.import"]


async def test_an_import_may_begin_later(admin: AsyncOperis, model: str) -> None:
    begin = datetime.now(UTC) + timedelta(days=3)
    await admin.create_price(model_id=model, input="1", output="1")
    arguments: dict[str, Any] = {"format": "json", "file": one(model, input="2", output="1"), "effective_from": begin}
    review = await admin.import_prices(**arguments)
    assert (await admin.import_prices(**arguments, plan=review.plan, models=[model])).effective_from == begin
    prices = (await admin.list_prices(model_id=model)).items
    assert [(price.input, price.effective_from == begin) for price in prices] == [("2", True), ("1", False)]
    arguments["effective_from"] = datetime(2026, 1, 1, tzinfo=UTC)
    with refused(422, "invalid_field"):
        await admin.import_prices(**arguments)


async def test_our_csv_has_tiers_on_lines_of_their_own_and_a_sale_price_is_the_markup_on_its_cost(
    admin: AsyncOperis, model: str
) -> None:
    file = (
        "model_id,from_prompt_tokens,input,cost_input,cost_output,cost_cached_input\n"
        f"{model},,,1,2,0.000001\n{model},1001,7,3,,\n"
    )
    change = change_of(await admin.import_prices(format="csv", file=file, markup="4/3"), model)
    assert fields_of(change) == {
        "input": (None, "1.333334"),  # rounded up to a microcredit
        "output": (None, "2.666667"),
        "cached_input": (None, "0.000002"),
        "cost_input": (None, "1"),
        "cost_output": (None, "2"),
        "cost_cached_input": (None, "0.000001"),
        "input from 1001": (None, "7"),
        "cost_input from 1001": (None, "3"),
    }


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('{"output_cost_per_token": 1e-6}', "no price per input token"),
        ('{"input_cost_per_token": 1e-6, "mode": "chat"}', "no price per output token"),
        (
            '{"input_cost_per_token": 1.00000000000001e-6, "output_cost_per_token": 1}',
            "no whole number of microcredits",
        ),
        ('{"input_cost_per_token": -1e-6, "output_cost_per_token": 1e-6}', "negative"),
        ('{"input_cost_per_token": 1e-6, "output_cost_per_token": 2}', "above 1000000 credits"),
        ('{"input_cost_per_token": 1e-6, "output_cost_per_token": true}', "no number"),
        ('{"input_cost_per_token": "free", "output_cost_per_token": 0}', "no number"),
        ('{"input_cost_per_token": "NaN", "output_cost_per_token": 0}', "out of all reason"),
        ('{"input_cost_per_token": 1e999999999, "output_cost_per_token": 0}', "out of all reason"),
        ('{"input_cost_per_token": 1e-999999999, "output_cost_per_token": 0}', "out of all reason"),
        ('{"tiered_pricing": [{"input_cost_per_token": 1e-6}]}', "a range without a beginning"),
    ],
)
async def test_what_an_entry_cannot_be_is_skipped_and_says_why(
    admin: AsyncOperis, model: str, entry: str, why: str
) -> None:
    change = change_of(await admin.import_prices(format="litellm", file=f'{{"{model}": {entry}}}'), model)
    assert change.status == "skipped"
    assert why in (change.why or "")
    assert change.fields == []


async def test_ranges_of_prompts_are_tiers(admin: AsyncOperis, model: str) -> None:
    ranges = [
        {"range": [0, 32000], "input_cost_per_token": 1e-6, "output_cost_per_token": 5e-6},
        {"range": [32000, 128000], "input_cost_per_token": 2e-6, "output_cost_per_token": 6e-6},
    ]
    file = json.dumps({model: {"tiered_pricing": ranges, "mode": "chat"}})
    fields = fields_of(change_of(await admin.import_prices(format="litellm", file=file), model))
    assert (fields["input"], fields["input from 32001"]) == ((None, "1"), (None, "2"))
    assert fields["output from 32001"] == (None, "6")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"format": "litellm", "file": "[]"}, "file"),
        ({"format": "litellm", "file": "{"}, "file"),
        ({"format": "litellm", "file": '{"a": 1}'}, "file"),
        ({"format": "litellm", "file": "[" * 100_000}, "file"),
        ({"format": "json", "file": "{}"}, "file"),
        ({"format": "json", "file": '[{"model_id": "a", "price": "1"}]'}, "file"),
        ({"format": "json", "file": '[{"model_id": "a"}, {"model_id": "a"}]'}, "file"),
        ({"format": "csv", "file": ""}, "file"),
        ({"format": "csv", "file": "model_id,price\na,1\n"}, "file"),
        ({"format": "csv", "file": "model_id,input\na\n"}, "file"),
        ({"format": "csv", "file": "model_id,from_prompt_tokens,input\na,5,1\n"}, "file"),
        ({"markup": "-1"}, "markup"),
        ({"markup": "1/0"}, "markup"),
        ({"models": ["acme/nowhere"], "plan": "x"}, "plan"),
    ],
)
async def test_what_an_import_cannot_be_is_refused_by_field(
    admin: AsyncOperis, wrong: dict[str, Any], field: str
) -> None:
    arguments: dict[str, Any] = {"format": "json", "file": "[]", **wrong}
    if field == "plan":
        with refused(409, "import_changed"):
            await admin.import_prices(**arguments)
        return
    with refused(422, "invalid_field") as refusal:
        await admin.import_prices(**arguments)
    assert refusal.error.facts["field"] == field


async def run_command(api: Api, home: Path, *arguments: str, stdin: str = "") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "operis_api.cli",
        "price",
        "import",
        *arguments,
        env=environment(api.database, home, 3001),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin.encode())
    return process.returncode or 0, output.decode()


async def test_the_command_shows_asks_and_applies(api: Api, admin: AsyncOperis, model: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(f"model_id,input,output\n{model},1,2\n")
    code, output = await run_command(api, tmp_path, str(file), "--dry-run")
    assert (code, f"new       {model}" in output, "input: - -> 1" in output) == (0, True, True)
    for answer, count in (("n\n", 0), ("y\n", 1)):
        code, output = await run_command(api, tmp_path, str(file), "--model", model, stdin=answer)
        assert (code, "Apply this?" in output) == (0, True)
        assert len((await admin.list_prices(model_id=model)).items) == count
    code, output = await run_command(api, tmp_path, "-", "--yes", stdin=one(model, input="100", output="2"))
    assert (code, "jumps from 1 to 100" in output, "models: there is nothing to apply" in output) == (1, True, True)
    code, output = await run_command(api, tmp_path, "-", stdin="nonsense")
    assert (code, "file: it cannot be read as litellm" in output) == (1, True)
    assert len((await admin.list_prices(model_id=model)).items) == 1
