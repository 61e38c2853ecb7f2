"""What the ledger refuses."""

from operis_api.kit.errors import DomainError


class InsufficientCredits(DomainError):
    status, code, title = 402, "insufficient_credits", "The wallet cannot cover this request."


class AdjustmentTooLarge(DomainError):
    status, code, title = 422, "adjustment_too_large", "This adjustment is beyond the limit."


class BalanceTooSmall(DomainError):
    status, code, title = 409, "balance_too_small", "The wallet has less than what would be taken."


class NothingCharged(DomainError):
    status, code, title = 409, "nothing_charged", "This request cost nothing."


class AlreadyReversed(DomainError):
    status, code, title = 409, "already_reversed", "This charge was given back before."


class NotRefundable(DomainError):
    status, code, title = 409, "not_refundable", "Nobody paid for this grant."


class RefundTooLarge(DomainError):
    status, code, title = 409, "refund_too_large", "The grant has less left than what would be paid back."
