"""The phone's screen in a terminal: the request, a live countdown, progress, result and next step."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import IO, Any, Final, Self

from handset_client.adapters.keyboard import Keyboard
from handset_client.effects import Ending, Notice, Progress, Step
from handset_client.issuer_frames import PaymentRequest
from handset_client.ports import Answer
from handset_client.wording import STEPS, ending_text, notice_text
from protocol.money import format_money

_WIPE_LINE: Final = "\r\x1b[2K"
_RULE: Final = "-" * 46
_SAID_ALOUD: Final = (30, 10, 5)
"""Seconds at which a countdown is printed where no line can be rewritten."""

_UNDECIDED: Final = frozenset({Step.LOOKING_FOR_READER, Step.READER_READY})
_REVOCABLE: Final = frozenset(
    {
        Step.APPROVED_LOOKING_FOR_READER,
        Step.WAITING_FOR_ISSUER,
        Step.SWIPE_NOW,
        Step.CARD_SENT,
        Step.ENTER_PIN,
    }
)


class TerminalScreen:
    """Screen on `output`, with keys from `source`. Use as a context manager."""

    def __init__(self, source: IO[Any] = sys.stdin, output: IO[str] = sys.stdout) -> None:
        self._keyboard = Keyboard(source)
        self._output = output
        self._rewrites = output.isatty()
        self._request: PaymentRequest | None = None
        self._step: Step | None = None
        self._until = 0.0
        self._ticker: asyncio.Task[None] | None = None
        self._status_shown = False
        self._asked = asyncio.Event()

    def __enter__(self) -> Self:
        self._keyboard.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._keyboard.__exit__(kind, error, where)

    def ask(self, request: PaymentRequest, seconds_left: float) -> None:
        """See Screen."""
        self._stop_ticking()
        self._keyboard.forget_typed()
        self._request, self._step = request, Step.LOOKING_FOR_READER
        self._until = _now() + seconds_left
        keys = (
            "[A]pprove   [D]ecline"
            if self._keyboard.single_keys
            else "Type a (approve) or d (decline), Enter."
        )
        self._print(
            f"{_RULE}\n"
            f"  Shop     {request.merchant_name}\n"
            f"  Amount   {format_money(request.amount)}\n"
            f"  For      {request.order}\n"
            f"{_RULE}\n"
            f"{keys}   {self._left()} seconds to answer"
        )
        self._asked.set()
        self._ticker = asyncio.create_task(self._tick())

    def tell(self, what: Progress | Notice) -> None:
        """See Screen."""
        if isinstance(what, Notice):
            self._print(notice_text(what))
            return
        if self._request is None or what.payment_id != self._request.payment_id:
            return
        if what.step not in _UNDECIDED:
            self._stop_ticking()
        self._step = what.step
        self._print(STEPS[what.step])

    def finish(self, ending: Ending) -> None:
        """See Screen."""
        happened, next_step = ending_text(ending)
        if self._request is not None and ending.request.payment_id == self._request.payment_id:
            self._stop_ticking()
            self._request = self._step = None
            self._asked.clear()
        self._print(f"{happened}\n  {next_step}")

    async def next_answer(self) -> Answer:
        """See Screen."""
        while True:
            if not self._keyboard.single_keys:
                # What is piped in waits for the request that it answers.
                await self._asked.wait()
            try:
                key = await self._keyboard.next_key()
            except EOFError:
                if self._keyboard.single_keys:
                    raise
                # Nobody is left to answer, but the phone can still be called and let the countdown run.
                await asyncio.get_running_loop().create_future()
            if key == "q":
                raise EOFError
            answer = self._answer(key)
            if answer is not None:
                return answer

    async def close(self) -> None:
        """See Screen."""
        self._stop_ticking()
        self._output.flush()

    def _answer(self, key: str) -> Answer | None:
        if self._request is None:
            return None
        payment_id = self._request.payment_id
        if self._step in _UNDECIDED and key in "ay":
            return Answer(payment_id, approved=True)
        if (self._step in _UNDECIDED or self._step in _REVOCABLE) and key in "dn":
            return Answer(payment_id, approved=False)
        if key.isprintable() and key != " ":
            if self._step in _UNDECIDED:
                self._print("Press A to approve or D to decline (Q quits).")
            elif self._step in _REVOCABLE:
                self._print("Press D to call this payment off.")
            else:
                self._print("It is too late to call this payment off. Wait for the result.")
        return None

    async def _tick(self) -> None:
        while (left := self._left()) > 0:
            if self._rewrites:
                self._output.write(f"{_WIPE_LINE}[A]pprove   [D]ecline   {left // 60}:{left % 60:02}")
                self._output.flush()
                self._status_shown = True
            elif left in _SAID_ALOUD:
                self._print(f"{left} seconds left")
            await asyncio.sleep(self._until - _now() - (left - 1) if left > 1 else self._until - _now())

    def _left(self) -> int:
        return max(0, -int(-(self._until - _now()) // 1))

    def _stop_ticking(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def _print(self, text: str) -> None:
        if self._status_shown:
            self._output.write(_WIPE_LINE)
            self._status_shown = False
        self._output.write(text + "\n")
        self._output.flush()


def _now() -> float:
    return asyncio.get_running_loop().time()
