"""The short form of the gateway's drill: what failing providers sent, priced, is what the ledger has."""

from bench.drills.gateway import drill_gateway

from operis_db.embedded import EmbeddedPostgres
from tests.running import make_database


async def test_200_mixed_calls_on_failing_providers_cost_what_these_sent(postgres: EmbeddedPostgres) -> None:
    verdict, log = await drill_gateway(await make_database(postgres), seed=11, calls=200, callers=48)
    assert verdict.findings == []
    assert verdict.charged_nano == verdict.expected_nano > 0
    assert {"by the usage told", "estimated, no usage told", "failed or broke off: nothing"} < set(verdict.classes)
    assert {delivery.protocol for those in log.deliveries.values() for delivery in those if delivery.whole} == {
        "openai",
        "anthropic",
    }
