"""The end of a drill: what customers and operators were told, against the provider's log and the ledger."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.running import Database

from bench.drills.load import Call, Load, Movement, exact_charge_nano
from bench.drills.provider import Provider
from operis_api.ledger.holds import CHECKPOINT_SECONDS

UNBILLED_SECONDS_MAX = CHECKPOINT_SECONDS + 2.0
"""One checkpoint, and how late it may be on a busy machine."""


@dataclass
class Score:
    """What went wrong with calls and movements of the processes that died in one place."""

    calls: int = 0
    lost: int = 0
    double: int = 0
    leaked: int = 0
    wrong: int = 0
    """Charged another amount than was told, or for more than was delivered."""
    unbilled_words: int = 0
    """Delivered after the last checkpoint of a stream whose process died: the most of any."""
    unbilled_seconds: float = 0.0


@dataclass
class Verdict:
    scores: dict[str, Score] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def of(self, place: str) -> Score:
        return self.scores.setdefault(place, Score())


async def judge(database: Database, load: Load, provider: Provider) -> Verdict:
    verdict = Verdict(findings=await database.broken_invariants())
    records = await _by_call(database, "SELECT client_agent, charge_nano, output, outcome FROM usage_records")
    holds = await _by_call(database, "SELECT client_agent FROM holds")
    for call in load.calls:
        rows = records.get(call.nth, [])
        verdict.of(call.place).calls += 1
        verdict.outcomes.update(str(row["outcome"]) for row in rows)
        for finding in _judge_call(verdict.of(call.place), call, rows, provider.delivered.get(call.nth)):
            verdict.findings.append(f"call {call.nth}, {call.place}: {finding}")
        if call.nth in holds:
            verdict.of(call.place).leaked += 1
            verdict.findings.append(f"call {call.nth}, {call.place}: its hold is still open")
    postings: dict[str, list[tuple[object, int]]] = {}
    for row in await database.fetch(
        "SELECT p.reason, p.id, e.amount_nano FROM postings p JOIN entries e ON e.organization_id = p.organization_id "
        "AND e.posting_id = p.id AND e.account = 'wallet' WHERE p.reason LIKE 'drill %'"
    ):
        postings.setdefault(row["reason"], []).append((row["id"], row["amount_nano"]))
    for movement in load.movements:
        for finding in _judge_movement(verdict.of(movement.place), movement, postings.get(movement.reason, [])):
            verdict.findings.append(f"{movement.reason}, {movement.place}: {finding}")
    return verdict


def _judge_call(score: Score, call: Call, rows: list[dict[str, object]], delivered: int | None) -> Iterable[str]:
    if len(rows) > 1:
        score.double += 1
        yield f"it has {len(rows)} records"
    if not rows:
        if call.status == 200 or delivered is not None:
            score.lost += 1
            yield f"{delivered} words were delivered, and it has no record"
        return
    charged, output = int(str(rows[0]["charge_nano"])), int(str(rows[0]["output"]))
    if call.charged_nano is not None and not call.charged_nano == charged == exact_charge_nano(call.words):
        score.wrong += 1
        yield f"it was told {call.charged_nano} for {call.words} words, and {charged} was charged"
    if output > (delivered or 0) or (call.status not in {0, 200} and charged):
        score.wrong += 1
        yield f"{output} words were charged, {delivered} delivered, and its answer was {call.status}"
    seen = len(call.word_times)
    if seen > output:
        seconds = call.word_times[-1] - call.word_times[output]
        score.unbilled_words = max(score.unbilled_words, seen - output)
        score.unbilled_seconds = max(score.unbilled_seconds, seconds)
        if seconds > UNBILLED_SECONDS_MAX:
            score.wrong += 1
            yield f"{seen} words reached the caller, {output} were charged: {seconds:.1f} s of them were not"


def _judge_movement(score: Score, movement: Movement, postings: list[tuple[object, int]]) -> Iterable[str]:
    if len(postings) > 1:
        score.double += 1
        yield f"it was posted {len(postings)} times"
    if movement.posting_id is not None and postings != [(movement.posting_id, movement.amount_nano)]:
        score.lost += not postings
        score.wrong += bool(postings)
        yield f"{movement.amount_nano} were told as {movement.posting_id}, and the ledger has {postings}"
    if movement.refused:
        score.wrong += 1
        yield f"it was refused: {movement.refused}"


async def _by_call(database: Database, query: str) -> dict[int, list[dict[str, object]]]:
    rows: dict[int, list[dict[str, object]]] = {}
    for row in await database.fetch(query):
        agent = str(row["client_agent"])
        if agent.startswith("drill/"):
            rows.setdefault(int(agent.removeprefix("drill/")), []).append(dict(row))
    return rows


def show_table(verdict: Verdict, counts: dict[str, tuple[int, int]]) -> None:
    """Print one line for each place, with how many processes died there and how many calls each had in flight."""
    heads = ("kills", "in flight", "calls", "lost", "double", "leaked", "wrong")
    print(f"{'place':<20}{''.join(f'{head:>10}' for head in heads)}   unbilled at most")
    for place, (kills, in_flight) in counts.items():
        score = verdict.of(place)
        numbers = (kills, in_flight, score.calls, score.lost, score.double, score.leaked, score.wrong)
        unbilled = f"{score.unbilled_words} words, {score.unbilled_seconds:.1f} s"
        print(f"{place:<20}{''.join(f'{number:>10}' for number in numbers)}   {unbilled}")
