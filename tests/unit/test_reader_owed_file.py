"""Payments without an outcome on the disk: kept, read back, and never a reason not to start."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.identifiers import Digest
from protocol.messages import NotSettled, Outcome, Verdict
from reader_peripheral import screens
from reader_peripheral.adapters.owed_file import OwedFile
from reader_peripheral.adapters.private_files import (
    PrivateFileError,
    move_private,
    read_private,
    write_private,
)
from reader_peripheral.alarms import Alarm, Alarms
from reader_peripheral.owed_outcomes import MOST_OWED, OwedOutcome, OwedOutcomes
from reader_peripheral.session import Session
from reader_peripheral.settings import Limits
from reader_peripheral.transitions import Event
from tests.machines.reader_bench import ISSUER, ISSUER_ID, OLD_BILL, OLD_MESSAGE, READER, owed_payment
from tests.unit.reader_shop import TRACK, Shop


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    file = OwedFile(tmp_path)
    assert file.load() == ()
    file.keep((owed_payment(),))
    assert OwedFile(tmp_path).load() == (owed_payment(),)
    assert stat.S_IMODE((tmp_path / "owed.json").stat().st_mode) == 0o600
    file.keep(())
    assert OwedFile(tmp_path).load() == ()


def test_a_file_of_another_account_asks_for_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for method in ("open", "mkdir", "unlink", "replace"):  # root, as whom tests may run, is forbidden nothing
        monkeypatch.setattr(Path, method, forbidden)
    monkeypatch.setattr(os, "open", forbidden)
    for use in (read_private, lambda path: move_private(path, path), lambda path: write_private(path, "")):
        with pytest.raises(PrivateFileError, match="run the command with sudo"):
            use(tmp_path / "identity.seed")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        "[1]",
        "[{}]",
        '[{"offer": 1}]',
        "[" * 5000,
        '[{"offer":"00","sent":[],"unknown":true,"merchant":"m","minor":1,"currency":"JPY","order":"o"}]',
        '[{"offer":"%s","sent":[],"unknown":true,"merchant":"m\\u001b","minor":1,"currency":"JPY","order":"o"}]'
        % ("00" * 32),
        '[{"offer":"%s","sent":[],"unknown":true,"merchant":"m","minor":-1,"currency":"JPY","order":"o"}]'
        % ("00" * 32),
        '[{"offer":"%s","sent":[],"unknown":true,"merchant":"m","minor":1,"currency":"JPY","order":"o",'
        '"outcome":"a0"}]' % ("00" * 32),
        '[{"offer":"%s","sent":[3],"unknown":true,"merchant":"m","minor":1,"currency":"JPY","order":"o"}]'
        % ("00" * 32),
    ],
)
def test_a_damaged_file_is_left_out_and_said_so(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "owed.json").write_text(content)
    (tmp_path / "owed.json").chmod(0o600)
    assert OwedFile(tmp_path).load() == ()
    assert ("owed.json" in caplog.text) is (content != "")


def test_a_disk_that_is_full_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    file = OwedFile(tmp_path)
    file.keep((owed_payment(),))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PrivateFileError, match="No space left"):
        file.keep(())
    assert OwedFile(tmp_path).load() == (owed_payment(),), "the old one is whole"


def record(number: int, **changes: bool) -> OwedOutcome:
    unread = {"unknown": False, "past": True} | changes
    return OwedOutcome(Digest(bytes([number]) * 32), OLD_BILL, (OLD_MESSAGE,), **unread)


REFUSED = Outcome(Digest(bytes(32)), None, Verdict.NOT_SETTLED, NotSettled.WRONG_PIN)
APPROVAL = Outcome(Digest(bytes(32)), OLD_MESSAGE, Verdict.APPROVED, None)


@pytest.mark.parametrize("result_is_there", [True, False])
def test_refusals_without_end_push_out_one_another_and_nothing_unread(result_is_there: bool) -> None:
    owed = OwedOutcomes()
    owed.add(record(0, unknown=True, past=False))
    if result_is_there:
        owed.take(owed.records[0], APPROVAL)
    for number in range(1, MOST_OWED + 3):
        owed.add(record(number))
    assert [each.offer[0] for each in owed.records] == [0, *range(4, MOST_OWED + 3)]
    owed.close(record(0).offer)
    owed.add(record(99))
    assert [each.offer[0] for each in owed.records] == [*range(4, MOST_OWED + 3), 99]


def test_one_payment_at_most_is_unread() -> None:
    owed = OwedOutcomes(record(number, unknown=True, past=False) for number in range(3))
    assert [(each.unknown, each.past) for each in owed.records] == [(False, True)] * 2 + [(True, False)]
    owed.take(owed.records[2], APPROVAL)
    owed.pay_anew()
    assert owed.unread is None
    assert [each.offer[0] for each in owed.records] == [0, 1], "who swipes anew has no use for the result"
    owed.take(owed.records[0], APPROVAL)
    assert [each.offer[0] for each in owed.records] == [1]


def test_what_is_past_and_what_is_unread_are_read_back(tmp_path: Path) -> None:
    file = OwedFile(tmp_path)
    kept = (
        record(1),
        record(2, past=False),
        replace(owed_payment(), unknown=False, outcome=APPROVAL),
        replace(owed_payment(), unknown=False, outcome=REFUSED),
    )
    file.keep(kept)
    assert file.load() == kept


def test_a_file_of_an_earlier_version_shows_nothing_that_could_mislead(tmp_path: Path) -> None:
    """It did not say what was swiped over; what was unknown is still the payment that was swiped for last."""
    file = OwedFile(tmp_path)
    file.keep((record(1, past=False), owed_payment()))
    path = tmp_path / "owed.json"
    items = json.loads(path.read_text())
    path.write_text(
        json.dumps([{k: item[k] for k in item if k not in ("past", "outcome")} for item in items])
    )
    assert file.load() == (record(1, past=True), owed_payment())


def test_alarms_go_off_in_order_once_and_only_when_due() -> None:
    alarms = Alarms()
    alarms.set(Alarm.RESULT, 3.0, Event.RESULT_TIME_UP)
    alarms.set(Alarm.STEP, 2.0, Event.PIN_TIME_UP)
    alarms.set(Alarm.STEP, 1.0, Event.OFFER_TIME_UP)
    alarms.set(Alarm.RESUME, 2.5, Event.SESSION_OVER)
    alarms.clear(Alarm.RESUME)
    assert alarms.next() == 1.0
    assert alarms.pop_due(0.9) is None
    assert [alarms.pop_due(9.0) for _ in range(3)] == [Event.OFFER_TIME_UP, Event.RESULT_TIME_UP, None]
    assert alarms.next() is None


class BrokenStore:
    """A disk that takes nothing."""

    def load(self) -> tuple[OwedOutcome, ...]:
        return ()

    def keep(self, records: tuple[OwedOutcome, ...]) -> None:
        raise PrivateFileError("owed.json cannot be written: No space left on device.")


async def test_the_payment_goes_on_when_the_disk_does_not(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    shop.service._owed = BrokenStore()
    await shop.service.start()
    await shop.begin()
    shop.swiper.swipe(TRACK)
    await shop.card()
    assert "would not survive a power cut" in caplog.text
    await shop.service.stop()


async def test_a_restarted_reader_shows_what_it_did_not_know(tmp_path: Path) -> None:
    store = OwedFile(tmp_path)
    store.keep((owed_payment(),))
    shop = Shop()
    shop.service._session = Session(READER, ISSUER_ID, ISSUER.public_key, Limits(), store.load())
    await shop.service.start()
    assert shop.display.screens == [screens.Unknown(OLD_BILL)]
    await shop.service.stop()
    await asyncio.sleep(0)
