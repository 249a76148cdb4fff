"""One payment as the stateful test's model has it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.identifiers import PaymentId
from tests.unit.issuer_bench import Reader

SPEAKING = ("key_offered", "pin_requested")
"""States in which the reader has the offer; approved, card received and settling never last."""


@dataclass
class Expected:
    """One payment as the model has it."""

    id: PaymentId
    amount: int
    reader: Reader
    status: str
    deadline: float
    reason: str | None = None
    refunded: int = 0

    @property
    def over(self) -> bool:
        return self.status in ("completed", "not_settled")

    @property
    def holds(self) -> int:
        return self.amount if self.status == "pin_requested" else 0
