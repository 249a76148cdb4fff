"""Payments without an outcome on the disk: kept, read back, and never a reason not to start."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

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
from tests.machines.reader_bench import ISSUER, ISSUER_ID, OLD_BILL, READER, owed_payment
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


def test_only_the_latest_are_remembered() -> None:
    owed = OwedOutcomes()
    for number in range(MOST_OWED + 3):
        owed.add(OwedOutcome(bytes([number]) * 32, OLD_BILL, (), unknown=number == 0))  # type: ignore[arg-type]
    # Refusals without end push out one another, and not what the person has yet to be told.
    assert [record.offer[0] for record in owed.records] == [0, *range(4, MOST_OWED + 3)]
    owed.have_been_read()
    owed.add(OwedOutcome(bytes([99]) * 32, OLD_BILL, (), unknown=False))  # type: ignore[arg-type]
    assert [record.offer[0] for record in owed.records] == [*range(4, MOST_OWED + 3), 99]


def test_when_all_must_be_shown_the_oldest_goes() -> None:
    owed = OwedOutcomes()
    for number in range(MOST_OWED + 1):
        owed.add(OwedOutcome(bytes([number]) * 32, OLD_BILL, (), unknown=True))  # type: ignore[arg-type]
    assert [record.offer[0] for record in owed.records] == list(range(1, MOST_OWED + 1))


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
