"""What a wallet must do, in plain Python and without a database: what the real one is compared with."""

from collections.abc import Iterable
from dataclasses import dataclass, field

PRIORITIES = {"free": 0, "bonus": 10, "voucher": 20, "refund": 30, "manual": 40, "paid": 50}
NEVER = float("inf")


@dataclass
class ModelGrant:
    nth: int
    source: str
    remaining: int
    ends: float
    held: int = 0
    over: bool = False
    ended_nth: int = 0

    @property
    def free(self) -> int:
        return self.remaining - self.held

    @property
    def burn_order(self) -> tuple[int, float, int]:
        return PRIORITIES[self.source], self.ends, self.nth


@dataclass
class ModelHold:
    amount: int
    draws: list[tuple[ModelGrant, int]]


@dataclass
class ModelWallet:
    """`lines` is what the ledger must say: kind, amount and the balance after it."""

    window_nano: int = 0
    grants: list[ModelGrant] = field(default_factory=list)
    holds: dict[object, ModelHold] = field(default_factory=dict)
    charges: dict[object, int] = field(default_factory=dict)
    reversed: set[object] = field(default_factory=set)
    lines: list[tuple[str, int, int]] = field(default_factory=list)
    ends: int = 0

    @property
    def balance(self) -> int:
        return sum(grant.remaining for grant in self.grants)

    @property
    def held(self) -> int:
        return sum(grant.held for grant in self.grants)

    @property
    def available(self) -> int:
        return sum(grant.free for grant in self._drawable())

    def credit(self, kind: str, source: str, amount: int, ends: float = NEVER) -> None:
        self.grants.append(ModelGrant(len(self.grants), source, amount, ends))
        self._post(kind, amount)

    def debit(self, kind: str, amount: int) -> bool:
        if self.available < amount:
            return False
        self.expire()
        for grant, taken in draw(self._drawable(), amount):
            grant.remaining -= taken
        self._post(kind, -amount)
        return True

    def place(self, hold: object, quote: int, floor: int) -> int | None:
        """Return how much is held, None for a refusal."""
        if hold in self.holds:
            return self.holds[hold].amount
        window = 0 if any(grant.source == "free" and not grant.over for grant in self.grants) else self.window_nano
        wanted = min(quote, self.available + window)
        if wanted < floor:
            return None
        if window and wanted:
            self.credit("free_window", "free", window, 0)
        draws = list(draw(self._drawable(), wanted))
        for grant, drawn in draws:
            grant.held += drawn
        self.holds[hold] = ModelHold(wanted, draws)
        return wanted

    def settle(self, hold: object, charge: int) -> int | None:
        """Return what was charged, None where the hold is gone."""
        if hold not in self.holds:
            return None
        open_hold = self.holds.pop(hold)
        charged = left = min(charge, open_hold.amount)
        for grant, drawn in open_hold.draws:
            burnt = min(left, drawn)
            grant.held -= drawn
            grant.remaining -= burnt
            left -= burnt
        self.charges[hold] = charged
        if charged:
            self._post("charge", -charged)
        return charged

    def settle_all(self, settlements: Iterable[tuple[object, int]]) -> None:
        """Settle a batch: its charges come first, and then what it gave back to grants that are over expires."""
        touched = False
        for hold, charge in settlements:
            if hold in self.holds:
                touched |= any(grant.over for grant, _ in self.holds[hold].draws)
                self.settle(hold, charge)
        if touched:
            self.expire()

    def end(self, grant: ModelGrant) -> None:
        if not grant.over:
            self.ends += 1
            grant.over, grant.ended_nth = True, self.ends

    def expire(self) -> None:
        for grant in sorted(self.grants, key=lambda grant: grant.ended_nth):
            if grant.over and grant.free:
                lost, grant.remaining = grant.free, grant.held
                self._post("expiry", -lost)

    def reverse(self, request: object) -> bool:
        charged = self.charges.get(request, 0)
        if charged == 0 or request in self.reversed:
            return False
        self.reversed.add(request)
        self.credit("reversal", "refund", charged)
        return True

    def _drawable(self) -> list[ModelGrant]:
        return sorted((grant for grant in self.grants if not grant.over), key=lambda grant: grant.burn_order)

    def _post(self, kind: str, amount: int) -> None:
        before = self.lines[-1][2] if self.lines else 0
        self.lines.append((kind, amount, before + amount))


def draw(grants: Iterable[ModelGrant], amount: int) -> Iterable[tuple[ModelGrant, int]]:
    for grant in grants:
        taken = min(amount, grant.free)
        if taken:
            amount -= taken
            yield grant, taken
    assert amount == 0


@dataclass
class Replay:
    """A wallet's ledger read again from its first line: what each grant must have left, and what does not add up."""

    left: dict[object, int] = field(default_factory=dict)
    balance: int = 0
    sequence: int = 0
    wrong: list[str] = field(default_factory=list)

    def apply(self, sequence: int, amount: int, balance_after: int, moves: Iterable[tuple[object, int]]) -> None:
        self.sequence += 1
        self.balance += amount
        moved = 0
        for grant, part in moves:
            moved += part
            if part > 0 and grant in self.left:
                self.wrong.append(f"line {sequence} gives grant {grant} a second time")
            self.left[grant] = self.left.get(grant, 0) + part
            if self.left[grant] < 0:
                self.wrong.append(f"line {sequence} takes more from grant {grant} than it has")
        if (sequence, balance_after, moved) != (self.sequence, self.balance, amount):
            self.wrong.append(
                f"line {sequence} moves {amount} to {balance_after} and {moved} in grants; "
                f"expected line {self.sequence} to {self.balance}"
            )
