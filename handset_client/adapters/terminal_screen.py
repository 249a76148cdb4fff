"""The phone's screen in a terminal: the request, a live countdown, progress, result and next step."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from types import TracebackType
from typing import IO, Any, Final, Self

from handset_client.adapters.keyboard import Keyboard
from handset_client.adapters.terminal_text import columns_of, fit, wrap
from handset_client.effects import (
    REVOCABLE,
    UNDECIDED,
    End,
    Ending,
    HowDeclined,
    Notice,
    NoticeKind,
    Progress,
    Step,
)
from handset_client.issuer_frames import PaymentRequest
from handset_client.plain_lines import says_more_than_the_steps
from handset_client.ports import Answer
from handset_client.wording import (
    Language,
    amended_text,
    ending_text,
    notice_text,
    step_text,
    terminal_texts,
)
from protocol.money import format_money

_BELL: Final = "\a"
_WIPE_LINE: Final = "\r\x1b[2K"
_WIDEST: Final = 76
"""Columns. Longer lines are hard to read, however wide the window is."""
_BOLD, _GREEN, _RED, _YELLOW, _DIM, _PLAIN = (f"\x1b[{code}m" for code in ("1", "32", "31", "33", "2", "0"))
_COLOUR_OF: Final = {
    End.COMPLETED: _GREEN,
    End.NOT_SETTLED: _RED,
    End.UNKNOWN: _YELLOW,
    End.SEE_READER: _YELLOW,
}
SETTLE: Final = 0.5
"""Seconds that a new request takes no key: one that was on its way to something else must not pay."""
_SAID_ALOUD: Final = (30, 10, 5)
"""Seconds at which a countdown is printed where no line can be rewritten."""


class TerminalScreen:
    """Screen on `output`, with keys from `source`. Use as a context manager."""

    def __init__(
        self,
        source: IO[Any] = sys.stdin,
        output: IO[str] = sys.stdout,
        language: Language = Language.ENGLISH,
        settle: float = SETTLE,
    ) -> None:
        self._keyboard = Keyboard(source)
        self._output = output
        self._language = language
        self._texts = terminal_texts(language)
        self._settle = settle
        self._rewrites = output.isatty()
        # https://no-color.org: the variable's presence counts, and TERM=dumb has no colours to begin with.
        self._colours = self._rewrites and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._told = ""
        self._request: PaymentRequest | None = None
        self._step: Step | None = None
        self._confirming = False
        """Whether the next key decides on blocking the shop, and on nothing else."""
        self._awake_at = 0.0
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
        self._confirming = False
        self._awake_at = _now() + (self._settle if self._keyboard.single_keys else 0.0)
        self._until = _now() + seconds_left
        rule = ("─" if "utf" in (getattr(self._output, "encoding", None) or "").lower() else "-") * min(
            46, self._columns()
        )
        if self._rewrites:
            self._output.write(_BELL)  # the window may be behind another
        self._print(self._paint(_DIM, rule))
        self._field("shop", request.merchant_name)
        self._field("amount", format_money(request.amount), _BOLD)
        self._field("order", request.order)
        self._print(self._paint(_DIM, rule))
        if not (self._rewrites and self._keyboard.single_keys):
            self._say(self._texts["keys_piped"].format(seconds=self._left()))
        self._told = ""
        self._asked.set()
        self._ticker = asyncio.create_task(self._tick())

    def tell(self, what: Progress | Notice) -> None:
        """See Screen."""
        if isinstance(what, Notice):
            self._notice(what)
            return
        if self._request is None or what.payment_id != self._request.payment_id:
            return
        if what.step not in UNDECIDED:
            self._stop_ticking()
        self._step = what.step
        self._tell(step_text(what.step, self._language))

    def finish(self, ending: Ending) -> None:
        """See Screen."""
        happened, next_step = ending_text(ending, self._language)
        if self._request is not None and ending.request.payment_id == self._request.payment_id:
            self._stop_ticking()
            self._request = self._step = None
            self._asked.clear()
        self._say(happened, colour=_COLOUR_OF[ending.end])
        self._say(next_step, indent="  ")
        self._told = ""

    def amend(self, ending: Ending) -> None:
        """See Screen."""
        happened, next_step = amended_text(ending, self._language)
        self._say(happened, colour=_COLOUR_OF[ending.end])
        self._say(next_step, indent="  ")
        self._told = ""

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
        if self._step in UNDECIDED and _now() < self._awake_at:
            return None
        if self._confirming:
            self._confirming = False
            if self._step in UNDECIDED:
                if key == "x":
                    return Answer(payment_id, approved=False, declined=HowDeclined.AND_BLOCKED)
                self._say(self._texts["not_blocked"])
            return None
        if self._step in UNDECIDED and key == "b":
            self._confirming = True
            self._say(self._texts["confirm_block"].replace("{merchant}", self._request.merchant_name))
            return None
        if self._step in UNDECIDED and key in "ay":
            return Answer(payment_id, approved=True)
        if (self._step in UNDECIDED or self._step in REVOCABLE) and key in "dn":
            return Answer(payment_id, approved=False)
        if key.isprintable() and key != " ":
            if self._step in UNDECIDED:
                self._say(self._texts["hint_undecided"])
            elif self._step in REVOCABLE:
                self._say(self._texts["hint_revocable"])
            else:
                self._say(self._texts["hint_too_late"])
        return None

    async def _tick(self) -> None:
        while (left := self._left()) > 0:
            if self._rewrites:
                self._show_status(f"{self._texts['keys']}   {left // 60}:{left % 60:02}")
            elif left in _SAID_ALOUD:
                self._say(self._texts["seconds_left"].format(seconds=left))
            await asyncio.sleep(self._until - _now() - (left - 1) if left > 1 else self._until - _now())

    def _left(self) -> int:
        return max(0, -int(-(self._until - _now()) // 1))

    def _stop_ticking(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def _notice(self, notice: Notice) -> None:
        if not says_more_than_the_steps(notice):
            return
        text = notice_text(notice, self._language)
        match notice.kind:
            case NoticeKind.ISSUER_RETRY if self._rewrites and self._request is None:
                self._show_status(text)
            case NoticeKind.ISSUER_RETRY:
                return  # where no line can be rewritten, one word that the bank is away is enough
            case _:
                self._tell(text)

    def _tell(self, text: str) -> None:
        """Say it, unless it is what was said last."""
        if text != self._told:
            self._told = text
            self._say(text)

    def _say(self, text: str, indent: str = "", colour: str = "") -> None:
        for line in wrap(text, self._columns(), indent, indent):
            self._print(self._paint(colour, line))

    def _field(self, label: str, value: str, colour: str = "") -> None:
        labels = [self._texts[each] for each in ("shop", "amount", "order")]
        room = max(map(columns_of, labels)) + 3
        name = self._texts[label]
        lead = f"  {name}{' ' * (room - columns_of(name))}"
        for line in wrap(value, self._columns(), lead, " " * columns_of(lead)):
            self._print(line[: len(lead)] + self._paint(colour, line[len(lead) :]))

    def _show_status(self, text: str) -> None:
        """In the last line, in place of what stands there; cut, for a line that wraps cannot be wiped."""
        self._output.write(_WIPE_LINE + fit(text, self._columns() - 1))
        self._output.flush()
        self._status_shown = True

    def _columns(self) -> int:
        if not self._rewrites:
            return 10_000  # a pipe or a file: lines are cut by whoever reads them
        try:
            columns = os.get_terminal_size(self._output.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        # Some terminals do not know: then COLUMNS, or 80.
        return min(_WIDEST, columns or shutil.get_terminal_size().columns)

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if colour and self._colours else text

    def _print(self, text: str) -> None:
        if self._status_shown:
            self._output.write(_WIPE_LINE)
            self._status_shown = False
        self._output.write(text + "\n")
        self._output.flush()


def _now() -> float:
    return asyncio.get_running_loop().time()
