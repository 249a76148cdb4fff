"""A screen without a person: approves or declines by rule, for demonstrations, tests and trials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from handset_client.effects import Amend, Ending, HowDeclined, Notice, Progress, Shown
from handset_client.issuer_frames import PaymentRequest
from handset_client.ports import Answer
from protocol.money import Money

Decide = Callable[[PaymentRequest], bool | None]
"""True approves, False declines, None leaves it to the countdown."""


def always(approve: bool) -> Decide:
    """The same answer to everything."""
    return lambda request: approve


def never_answers(request: PaymentRequest) -> None:
    """Nobody looks at the phone."""


def approve_below(limit: Money) -> Decide:
    """Approve what is below `limit` in its currency; decline everything else."""

    def decide(request: PaymentRequest) -> bool:
        return request.amount.currency == limit.currency and request.amount.minor < limit.minor

    return decide


def _keep_to_yourself(_shown: Shown) -> None:
    """Nobody looks on."""


class ScriptedScreen:
    """Screen that answers by `decide`, `delay` seconds after being asked. `show` gets all it is told."""

    def __init__(
        self, decide: Decide, *, delay: float = 0.0, show: Callable[[Shown], None] = _keep_to_yourself
    ) -> None:
        self._decide = decide
        self._delay = delay
        self._show = show
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._thinking: asyncio.TimerHandle | None = None

    def ask(self, request: PaymentRequest, seconds_left: float) -> None:
        """See Screen."""
        self._show(request)
        approved = self._decide(request)
        if approved is not None:
            answer = Answer(request.payment_id, approved, HowDeclined.BY_RULE)
            loop = asyncio.get_running_loop()
            self._thinking = loop.call_later(self._delay, self._answers.put_nowait, answer)

    def tell(self, what: Progress | Notice) -> None:
        """See Screen."""
        self._show(what)

    def finish(self, ending: Ending) -> None:
        """See Screen."""
        self._show(ending)

    def amend(self, ending: Ending) -> None:
        """See Screen."""
        self._show(Amend(ending))

    async def next_answer(self) -> Answer:
        """See Screen."""
        return await self._answers.get()

    async def close(self) -> None:
        """See Screen."""
        if self._thinking is not None:
            self._thinking.cancel()
