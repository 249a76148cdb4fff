"""The handset's terminal screen: on a real pseudo-terminal, and on pipes."""

from __future__ import annotations

import asyncio
import io
import os
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from handset_client.adapters.terminal_screen import TerminalScreen
from handset_client.adapters.terminal_text import columns_of, fit, wrap
from handset_client.effects import End, Ending, HowDeclined, Notice, NoticeKind, Progress, Step
from handset_client.issuer_frames import PaymentRequest
from handset_client.ports import Answer
from handset_client.wording import STEPS, Language
from protocol.identifiers import PaymentId, mint
from protocol.messages import NotSettled
from protocol.money import Money, currency

if sys.platform != "win32":
    import fcntl
    import termios

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")

P1, P2 = (PaymentId(mint("pay", bytes([number]) * 16)) for number in (1, 2))
REQUEST = PaymentRequest(P1, "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)


@dataclass
class Pty:
    """A terminal: what the screen writes is in `text`, what the person types goes to `type`."""

    master: int
    screen: TerminalScreen
    text: str = ""

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    async def until(self, wanted: str) -> str:
        """Read until `wanted` is on the screen."""
        async with asyncio.timeout(5):
            while wanted not in self.text:
                self.text += (await asyncio.to_thread(os.read, self.master, 4096)).decode()
        return self.text


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(master)


@pytest.fixture
async def pty(ends: tuple[int, int]) -> Iterator[Pty]:  # type: ignore[misc]
    master, slave = ends
    with (
        os.fdopen(os.dup(slave), "r", encoding="utf-8") as source,
        os.fdopen(slave, "w", encoding="utf-8") as output,
        TerminalScreen(source, output, settle=0) as screen,
    ):
        yield Pty(master, screen)
        await screen.close()


async def answer(pty: Pty) -> Answer:
    async with asyncio.timeout(5):
        return await pty.screen.next_answer()


async def test_the_request_is_shown_with_all_a_person_must_know(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 57.2)
    text = await pty.until("0:58")
    for wanted in ("田中珈琲店", "JPY 1,200", "2 coffees", "[A]pprove", "[D]ecline"):
        assert wanted in text
    assert text.startswith("\a"), "the bell rings, once"
    assert text.count("\a") == 1


@pytest.mark.parametrize(
    ("key", "approved"), [("a", True), ("A", True), ("y", True), ("d", False), ("N", False)]
)
async def test_one_key_answers(pty: Pty, key: str, approved: bool) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.type(key)
    assert await answer(pty) == Answer(P1, approved)


async def test_the_countdown_runs_in_its_own_line(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 1.5)
    text = await pty.until("0:01")
    assert text.index("0:02") < text.index("\x1b[2K", text.index("0:02")) < text.index("0:01")


async def test_a_wrong_key_says_which_are_right(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.type("xa")
    assert await answer(pty) == Answer(P1, approved=True)
    await pty.until("Press A to approve or D to decline")


async def test_what_was_typed_before_the_request_is_no_answer(
    pty: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, take = asyncio.Event(), pty.screen._answer

    def noting(key: str) -> Answer | None:
        heard.set()
        return take(key)

    monkeypatch.setattr(pty.screen, "_answer", noting)
    waiting = asyncio.create_task(pty.screen.next_answer())
    pty.type("a")
    async with asyncio.timeout(5):
        await heard.wait()
    pty.screen.ask(REQUEST, 60)
    pty.type("d")
    async with asyncio.timeout(5):
        assert await waiting == Answer(P1, approved=False)


@pytest.mark.parametrize("keys", ["a", "y", "d", "bx"])
async def test_a_new_request_takes_no_key_for_a_moment(ends: tuple[int, int], keys: str) -> None:
    with (
        os.fdopen(os.dup(ends[1]), "r", encoding="utf-8") as source,
        os.fdopen(ends[1], "w", encoding="utf-8") as output,
        TerminalScreen(source, output, settle=3600) as screen,
    ):
        pty = Pty(ends[0], screen)
        screen.ask(REQUEST, 60)
        pty.type(keys + "q")
        with pytest.raises(EOFError):
            await answer(pty)
        assert "Press" not in await pty.until("1:00")
        await screen.close()


BLOCKED = Answer(P1, approved=False, declined=HowDeclined.AND_BLOCKED)


async def test_blocking_a_shop_takes_a_second_key(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.type("bx")
    assert await answer(pty) == BLOCKED
    await pty.until("Decline, and block")
    pty.screen.finish(Ending(REQUEST, End.NOT_SETTLED, HowDeclined.AND_BLOCKED))
    await pty.until("unblock")


@pytest.mark.parametrize("key", ["a", "y", "d", "b", "n"])
async def test_any_other_key_goes_back_and_answers_nothing(pty: Pty, key: str) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.type(f"b{key}")
    waiting = asyncio.create_task(pty.screen.next_answer())
    await pty.until("Not blocked.")
    assert not waiting.done()
    pty.type("xd")
    async with asyncio.timeout(5):
        assert await waiting == Answer(P1, approved=False)


async def test_the_question_about_blocking_is_about_one_request(pty: Pty) -> None:
    waiting = asyncio.create_task(pty.screen.next_answer())
    pty.screen.ask(REQUEST, 60)
    pty.type("b")
    await pty.until("Decline, and block")
    pty.screen.ask(replace(REQUEST, payment_id=P2), 60)
    pty.type("xa")
    async with asyncio.timeout(5):
        assert await waiting == Answer(P2, approved=True)


async def test_once_approved_nobody_is_blocked(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.type("b")
    waiting = asyncio.create_task(pty.screen.next_answer())
    await pty.until("Decline, and block")
    pty.screen.tell(Progress(P1, Step.SWIPE_NOW))
    pty.type("xd")
    async with asyncio.timeout(5):
        assert await waiting == Answer(P1, approved=False)


async def test_after_approval_the_countdown_stops_and_d_calls_it_off(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.screen.tell(Progress(P1, Step.SWIPE_NOW))
    await pty.until(STEPS[Step.SWIPE_NOW])
    pty.type("ad")
    assert await answer(pty) == Answer(P1, approved=False)


async def test_after_the_pin_it_is_too_late(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.screen.tell(Progress(P1, Step.PIN_SENT))
    waiting = asyncio.create_task(pty.screen.next_answer())
    pty.type("d")
    await pty.until("too late")
    assert not waiting.done()
    waiting.cancel()


async def test_progress_of_another_payment_is_not_shown_as_this_ones(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.screen.tell(Progress(P2, Step.ENTER_PIN))
    pty.screen.tell(Progress(P1, Step.READER_READY))
    assert STEPS[Step.ENTER_PIN] not in await pty.until(STEPS[Step.READER_READY])


@pytest.mark.parametrize("key", ["q", "\x04"])
async def test_quitting(pty: Pty, key: str) -> None:
    pty.type(key)
    with pytest.raises(EOFError):
        await answer(pty)


async def test_a_closed_terminal_is_quitting(pty: Pty, ends: tuple[int, int]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, ends[0])
    os.close(null)
    with pytest.raises(EOFError):
        await answer(pty)


async def test_the_terminal_is_given_back_as_it_was(ends: tuple[int, int]) -> None:
    before = termios.tcgetattr(ends[1])
    with os.fdopen(ends[1], "r", encoding="utf-8") as source:
        with TerminalScreen(source, io.StringIO()):
            assert termios.tcgetattr(source.fileno()) != before
        assert termios.tcgetattr(source.fileno()) == before


async def test_the_result_and_the_next_step(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    pty.screen.finish(Ending(REQUEST, End.COMPLETED, None, "1234"))
    await pty.until("Paid JPY 1,200 to 田中珈琲店 with card ending 1234.")


async def test_what_was_learned_of_a_payment_in_doubt(pty: Pty) -> None:
    other = replace(REQUEST, payment_id=P2)
    pty.screen.ask(REQUEST, 60)
    pty.screen.amend(Ending(other, End.COMPLETED, None, "1234"))
    await pty.until("It is known now. Paid JPY 1,200 to 田中珈琲店 with card ending 1234.")
    pty.type("a")
    assert await answer(pty) == Answer(P1, approved=True)


async def test_the_same_is_not_said_twice(pty: Pty) -> None:
    pty.screen.ask(REQUEST, 60)
    for _ in range(2):
        pty.screen.tell(Progress(P1, Step.SWIPE_NOW))
        pty.screen.tell(Notice(NoticeKind.READER_STATUS, "waiting_for_card"))
    pty.screen.tell(Notice(NoticeKind.READER_STATUS, "unknown_outcome"))
    text = await pty.until("Card reader: ")
    assert text.count(STEPS[Step.SWIPE_NOW]) == 1
    assert "waiting for card" not in text


@pytest.mark.parametrize("columns", [24, 40, 80, 200])
async def test_no_line_is_wider_than_the_terminal(pty: Pty, ends: tuple[int, int], columns: int) -> None:
    fcntl.ioctl(ends[0], termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    long = replace(REQUEST, merchant_name="東京特許許可局前のとても長い名前の珈琲店", order="ten cakes, " * 6)
    pty.screen.ask(long, 60)
    pty.screen.tell(Progress(P1, Step.SWIPE_NOW))
    pty.screen.tell(Notice(NoticeKind.BLUETOOTH_DENIED, "not permitted"))
    pty.screen.finish(Ending(long, End.NOT_SETTLED, NotSettled.REFUSED_OFFER_REJECTED))
    text = await pty.until("another bank" if columns > 30 else "bank.")
    for line in re.sub(r"\x1b\[[0-9;]*[mK]", "\n", text).replace("\r", "\n").replace("\a", "").split("\n"):
        assert columns_of(line) <= min(columns, 76), line


async def test_japanese(ends: tuple[int, int]) -> None:
    with (
        os.fdopen(os.dup(ends[1]), "r", encoding="utf-8") as source,
        os.fdopen(ends[1], "w", encoding="utf-8") as output,
        TerminalScreen(source, output, Language.JAPANESE, settle=0) as screen,
    ):
        pty = Pty(ends[0], screen)
        screen.ask(REQUEST, 60)
        text = await pty.until("[D] 断る")
        assert "お店" in text
        pty.type("a")
        assert (await answer(pty)).approved
        await screen.close()


async def test_the_next_try_at_the_bank_stands_in_one_line(pty: Pty) -> None:
    for seconds in ("4", "8"):
        pty.screen.tell(Notice(NoticeKind.ISSUER_RETRY, seconds))
    text = await pty.until("in 8 s")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "columns", "wanted"),
    [
        ("short", 20, ["short"]),
        ("one two three four five", 16, ["one two three", "four five"]),
        ("a" * 40, 20, ["a" * 20, "a" * 20]),
        ("田中珈琲店の二号店です。", 16, ["田中珈琲店の二号", "店です。"]),
        ("十二文字と句点で八。", 18, ["十二文字と句点で", "八。"]),
        ("e\u0301" * 20, 20, ["e\u0301" * 20]),
        ("", 20, [""]),
    ],
)
def test_wrapping_counts_columns(text: str, columns: int, wanted: list[str]) -> None:
    assert wrap(text, columns) == wanted
    assert max(map(columns_of, wrap(text, columns))) <= columns


@pytest.mark.parametrize(
    ("text", "wanted"), [("short", "short"), ("0123456789abc", "012345678…"), ("田中珈琲店本店", "田中珈琲…")]
)
def test_cutting_counts_columns(text: str, wanted: str) -> None:
    assert fit(text, 10) == wanted
    assert columns_of(fit(text, 10)) <= 10


class Piped:
    """Standard input that is no terminal."""

    def __init__(self, lines: str) -> None:
        read, write = os.pipe()
        os.write(write, lines.encode())
        os.close(write)
        self.source = os.fdopen(read, "r", encoding="utf-8")
        self.output = io.StringIO()


async def test_a_piped_answer_waits_for_its_request() -> None:
    piped = Piped("approve\n")
    with TerminalScreen(piped.source, piped.output) as screen:
        waiting = asyncio.create_task(screen.next_answer())
        async with asyncio.timeout(5):
            while screen._keyboard._keys.empty():  # noqa: ASYNC110 - a thread fills it
                await asyncio.sleep(0)
        assert not waiting.done()
        screen.ask(REQUEST, 60)
        async with asyncio.timeout(5):
            assert await waiting == Answer(P1, approved=True)
        await screen.close()
    assert "Type a (approve), d (decline) or b (decline and block), Enter." in piped.output.getvalue()
    assert "\x1b" not in piped.output.getvalue()
    piped.source.close()


async def test_the_end_of_a_pipe_leaves_the_phone_running() -> None:
    piped = Piped("")
    with TerminalScreen(piped.source, piped.output) as screen:
        screen.ask(REQUEST, 60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await screen.next_answer()
        await screen.close()
    piped.source.close()


async def test_standard_input_from_dev_null() -> None:
    with open(os.devnull, encoding="utf-8") as source, TerminalScreen(source, io.StringIO()) as screen:  # noqa: ASYNC230
        screen.ask(REQUEST, 60)
        await screen.close()


async def test_seconds_are_said_aloud_where_no_line_can_be_rewritten() -> None:
    piped = Piped("")
    with TerminalScreen(piped.source, piped.output) as screen:
        screen.ask(REQUEST, 5.05)
        async with asyncio.timeout(4):
            while "5 seconds left" not in piped.output.getvalue():  # noqa: ASYNC110 - a plain StringIO
                await asyncio.sleep(0.01)
        await screen.close()
    piped.source.close()
