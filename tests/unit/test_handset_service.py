"""The handset's service between scripted ports: who is told what, in which order, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from handset_client.effects import (
    SWITCHED_OFF,
    Amend,
    ConnectReader,
    End,
    Ending,
    HowDeclined,
    KeptOutcome,
    Notice,
    NoticeKind,
    Progress,
    Step,
    TurnedAway,
)
from handset_client.issuer_frames import (
    Approve,
    Decline,
    DeclineReason,
    FromReader,
    Outcome,
    OutcomeWanted,
    PaymentRequest,
    Result,
    ToReader,
)
from handset_client.ports import (
    Answer,
    CredentialRefusedError,
    ReaderSaid,
)
from handset_client.relay_call import Patience
from handset_client.scripted import ScriptedScreen, always, approve_below, never_answers
from handset_client.service import HandsetService, Happening
from protocol.identifiers import PaymentId, mint
from protocol.messages import MessageType
from protocol.money import Money, currency
from tests.unit.handset_scripted_ports import READER, FakeHistory, FakeIssuer, FakeReader, Log

P1 = PaymentId(mint("pay", b"\x01" * 16))
JPY = currency("JPY")


def request(within: float = 60.0, minor: int = 1200) -> PaymentRequest:
    return PaymentRequest(P1, "Tanaka Coffee", Money(minor, JPY), "2 coffees", within)


@dataclass
class Phone:
    log: Log = field(default_factory=Log)
    shown: Log = field(default_factory=Log)
    watched: list[Happening] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    patience: Patience = field(default_factory=Patience)
    screen: Any = None

    def __post_init__(self) -> None:
        self.reader, self.issuer = FakeReader(self.log), FakeIssuer(self.log)
        self.history = FakeHistory(self.log)
        self.screen = ScriptedScreen(always(True), show=self._show)
        self.ended = asyncio.Event()

    def decide(self, rule: Any, delay: float = 0.0) -> None:
        self.screen = ScriptedScreen(rule, delay=delay, show=self._show)

    def _show(self, what: object) -> None:
        self.shown.append(what)
        if isinstance(what, Ending):
            self.ended.set()

    async def run(self) -> None:
        service = HandsetService(
            self.reader,
            self.issuer,
            self.screen,
            self.history,
            self.patience,
            watch=self.watched.append,
            unix_time=lambda: 1_800_000_000.0,
        )
        async with asyncio.timeout(5):
            await service.run(self.stop)

    async def until_ended(self) -> None:
        async with asyncio.timeout(5):
            task = asyncio.create_task(self.run())
            await self.ended.wait()
            self.stop.set()
            await task

    def endings(self) -> list[tuple[End, str | None]]:
        return [(what.end, what.reason) for what in self.shown if isinstance(what, Ending)]

    def script_a_good_payment(self) -> None:
        self.issuer.says.append(request())
        card = FromReader(P1, MessageType.CARD_ENVELOPE, b"card")
        pin = FromReader(P1, MessageType.PIN_ENVELOPE, b"pin")
        self.issuer.answers = {
            Approve(P1, b"hello"): [ToReader(P1, MessageType.KEY_OFFER, b"offer", 60)],
            card: [ToReader(P1, MessageType.PIN_REQUEST, b"pin?", 60)],
            pin: [
                ToReader(P1, MessageType.OUTCOME, b"outcome", 0),
                Result(P1, Outcome.COMPLETED, None, "1234"),
            ],
        }
        self.reader.answers = {
            MessageType.KEY_OFFER: ReaderSaid(MessageType.CARD_ENVELOPE, b"card"),
            MessageType.PIN_REQUEST: ReaderSaid(MessageType.PIN_ENVELOPE, b"pin"),
        }


@pytest.fixture
async def phone() -> Phone:
    return Phone()


async def test_a_payment_from_call_to_history(phone: Phone) -> None:
    phone.script_a_good_payment()
    await phone.until_ended()
    assert phone.endings() == [(End.COMPLETED, None)]
    for before, after in [
        ("start", "connect"),
        ("connect", Approve(P1, b"hello")),
        (("kept", None), ("kept", b"outcome")),
        (("kept", b"outcome"), "forgotten"),
        ((MessageType.OUTCOME, b"outcome"), "forgotten"),
        ((MessageType.OUTCOME, b"outcome"), "release"),
    ]:
        assert phone.log.index(before) < phone.log.index(after)
    assert ("recorded", End.COMPLETED, 1_800_000_000.0) in phone.log
    assert Progress(P1, Step.SWIPE_NOW) in phone.shown
    assert {"issuer closed", "reader closed"} <= set(phone.log)


async def test_declining(phone: Phone) -> None:
    phone.decide(always(False))
    phone.issuer.says.append(request())
    await phone.until_ended()
    assert Decline(P1, DeclineReason.DECLINED) in phone.log
    # Nobody was asked, and nobody is told that they declined.
    assert phone.endings() == [(End.NOT_SETTLED, HowDeclined.BY_RULE)]


async def test_the_countdown_is_the_phones_own(phone: Phone) -> None:
    phone.decide(never_answers)
    phone.issuer.says.append(request(within=0.05))
    await phone.until_ended()
    assert Decline(P1, DeclineReason.NO_RESPONSE) in phone.log


async def test_a_rule_approves_only_below_its_limit_and_in_its_currency() -> None:
    rule = approve_below(Money(1200, JPY))
    assert rule(request(minor=1199)) is True
    assert rule(request(minor=1200)) is False
    assert approve_below(Money(1201, currency("USD")))(request()) is False


async def test_a_full_disk_is_told_and_the_payment_goes_on(phone: Phone) -> None:
    phone.history.full = True
    phone.script_a_good_payment()
    await phone.until_ended()
    assert phone.endings() == [(End.COMPLETED, None)]
    assert Notice(NoticeKind.HISTORY_FAILED, "No space left on device") in phone.shown


async def test_a_slow_disk_holds_nothing_up_and_gets_everything_in_order(phone: Phone) -> None:
    disk, keep = asyncio.Event(), phone.history.keep_outcome

    async def slowly(kept: KeptOutcome, at: float) -> None:
        await disk.wait()
        await keep(kept, at)

    phone.history.keep_outcome = slowly  # type: ignore[method-assign]
    phone.script_a_good_payment()
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.ended.wait()
        assert phone.endings() == [(End.COMPLETED, None)]
        phone.stop.set()
        disk.set()
        await task
    recorded = ("recorded", End.COMPLETED, 1_800_000_000.0)
    written = [("kept", None), ("kept", b"outcome"), "forgotten", recorded]
    assert [entry for entry in phone.log if entry in written] in (
        written,
        [*written[:2], recorded, "forgotten"],
    )


async def test_a_bug_in_the_history_ends_the_program(phone: Phone) -> None:
    async def broken(kept: KeptOutcome, at: float) -> None:
        raise KeyError("a bug")

    phone.history.keep_outcome = broken  # type: ignore[method-assign]
    phone.script_a_good_payment()
    with pytest.raises(KeyError):
        await phone.run()
    assert {"issuer closed", "reader closed"} <= set(phone.log)


async def test_stopping_declines_what_is_undecided_and_closes_everything(phone: Phone) -> None:
    phone.decide(never_answers)
    phone.issuer.says.append(request())
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.shown.until(request())
        phone.stop.set()
        await task
    declined = phone.log.index(Decline(P1, DeclineReason.DECLINED))
    assert declined < phone.log.index("issuer closed")
    assert "reader closed" in phone.log


async def test_a_no_that_the_issuer_did_not_hear_leaves_the_payment_in_doubt(phone: Phone) -> None:
    phone.decide(never_answers)
    phone.issuer.says.append(request())
    phone.issuer.never_heard.add(P1)
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.shown.until(request())
        phone.stop.set()
        await task
    assert phone.endings() == [(End.UNKNOWN, SWITCHED_OFF)]
    assert phone.log[-1] == ("recorded", End.UNKNOWN, 1_800_000_000.0)


async def test_the_issuers_last_word_is_waited_for(phone: Phone) -> None:
    phone.script_a_good_payment()
    del phone.reader.answers[MessageType.KEY_OFFER]  # nobody swipes
    result = Result(P1, Outcome.NOT_SETTLED, "declined", None)
    phone.issuer.answers[Decline(P1, DeclineReason.DECLINED)] = [result]
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.shown.until(Progress(P1, Step.SWIPE_NOW))
        phone.stop.set()
        await task
    assert phone.endings() == [(End.NOT_SETTLED, HowDeclined.BY_STOPPING)]


async def test_the_issuers_last_word_is_not_waited_for_long(phone: Phone) -> None:
    phone.patience = Patience(farewell=0.05)
    phone.script_a_good_payment()
    del phone.reader.answers[MessageType.PIN_REQUEST]
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.shown.until(Progress(P1, Step.ENTER_PIN))
        phone.stop.set()
        await task
    assert phone.endings() == [(End.UNKNOWN, SWITCHED_OFF)]


async def test_a_word_that_comes_with_the_stop_is_not_lost(phone: Phone) -> None:
    phone.patience = Patience(farewell=0.05)
    phone.script_a_good_payment()
    del phone.issuer.answers[FromReader(P1, MessageType.PIN_ENVELOPE, b"pin")]
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.log.until(FromReader(P1, MessageType.PIN_ENVELOPE, b"pin"))
        # One turn of the loop for both.
        phone.issuer.events.put_nowait(Result(P1, Outcome.COMPLETED, None, "1234"))
        phone.stop.set()
        await task
    assert phone.endings() == [(End.COMPLETED, None)]


async def test_a_person_who_quits_stops_the_program(phone: Phone) -> None:
    async def quits() -> Answer:
        raise EOFError

    phone.screen.next_answer = quits
    await phone.run()
    assert {"issuer closed", "reader closed"} <= set(phone.log)


@pytest.mark.parametrize("error", [CredentialRefusedError(TurnedAway.BLOCKED), KeyError("a bug")])
async def test_what_cannot_go_on_ends_the_program_in_good_order(phone: Phone, error: Exception) -> None:
    phone.issuer.says.append(error)
    with pytest.raises(type(error)):
        await phone.run()
    assert {"issuer closed", "reader closed"} <= set(phone.log)
    told = Notice(NoticeKind.TURNED_AWAY, TurnedAway.BLOCKED) in phone.shown
    assert told is isinstance(error, CredentialRefusedError)


async def test_a_bug_in_the_radio_ends_the_program(phone: Phone) -> None:
    phone.reader.events.put_nowait(KeyError("a bug"))
    with pytest.raises(KeyError):
        await phone.run()


async def test_an_owed_outcome_is_brought_at_the_start(phone: Phone) -> None:
    phone.history.kept = [KeptOutcome(P1, READER, b"outcome")]
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.log.until("forgotten")
        phone.stop.set()
        await task
    assert (MessageType.OUTCOME, b"outcome") in phone.log
    assert ConnectReader() in phone.watched


async def test_notices_of_both_links_reach_the_screen(phone: Phone) -> None:
    away, lost = Notice(NoticeKind.ISSUER_AWAY, "x"), Notice(NoticeKind.READER_CONNECTION_LOST)
    phone.issuer.says.append(away)
    phone.reader.events.put_nowait(lost)
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.shown.until(away, lost)
        phone.stop.set()
        await task


async def test_a_port_that_does_not_close_is_left_behind(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs() -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr("handset_client.service.FAREWELL", 0.05)
    monkeypatch.setattr(phone.reader, "close", hangs)
    phone.stop.set()
    await phone.run()


async def test_a_doubt_of_an_earlier_run_is_asked_after_told_and_corrected(phone: Phone) -> None:
    doubt, paid = Ending(request(), End.UNKNOWN), Ending(request(), End.COMPLETED, None, "1234")
    phone.history.doubts = [doubt]
    phone.issuer.answers = {OutcomeWanted(P1): [Result(P1, Outcome.COMPLETED, None, "1234")]}
    task = asyncio.create_task(phone.run())
    async with asyncio.timeout(5):
        await phone.log.until(("amended", End.COMPLETED, "1234"))
        phone.stop.set()
        await task
    assert phone.shown == [Amend(paid)]


async def test_a_payment_is_in_doubt_on_disk_while_the_reader_has_its_offer(phone: Phone) -> None:
    phone.script_a_good_payment()
    await phone.until_ended()
    doubt, paid = (("recorded", end, 1_800_000_000.0) for end in (End.UNKNOWN, End.COMPLETED))
    assert phone.log.index(("kept", None)) < phone.log.index(doubt) < phone.log.index(paid)
