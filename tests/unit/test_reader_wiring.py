"""What the command puts together: the adapter that was chosen, encryption as set, paced notifications."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bless.backends.attribute import GATTAttributePermissions

from protocol import gatt
from protocol.identifiers import IssuerId
from protocol.messages import MessageType
from protocol.signing import SigningKey
from reader_peripheral import cli, settings
from reader_peripheral.adapters.owed_file import OwedFile
from reader_peripheral.commands import hardware
from reader_peripheral.session import Session
from reader_peripheral.texts import Language
from tests.unit.reader_mock_radio import Handlers, MockRadio, Phone, started_link

KEY = SigningKey.from_seed(b"\x05" * 32)
PAUSE = 0.01


async def soon(so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not within two seconds")


@pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux")
@pytest.mark.parametrize(
    ("said", "written", "used"),
    [(None, None, None), (None, "hci1", "hci1"), ("hci2", None, "hci2"), ("hci2", "hci1", "hci2")],
)
async def test_the_adapter_is_the_one_of_the_command_else_of_the_settings_else_the_first(
    monkeypatch: pytest.MonkeyPatch, said: str | None, written: str | None, used: str | None
) -> None:
    from tests.unit.reader_mock_bluez import MockAdapter, MockBus, mock_bluez

    adapter = MockAdapter()
    mock_bluez(monkeypatch, MockBus(), adapter)
    radio = cli._radio(None, argparse.Namespace(adapter=said), written)
    await radio.open("BR-0a1b", lambda *_: None)
    assert adapter.asked_for == [used]
    await radio.close()


@pytest.mark.parametrize("encrypt", [False, True])
async def test_encryption_is_as_the_settings_say_and_sigterm_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], encrypt: bool
) -> None:
    radio = MockRadio()
    owed = OwedFile(tmp_path)
    session = Session(KEY, IssuerId("bank"), KEY.public_key, settings.Limits(), owed.load())
    devices = settings.ReaderSettings(bluetooth=settings.BluetoothSettings(encrypt=encrypt))
    display = hardware.display_of(devices.display, Language.ENGLISH)
    with Path(os.devnull).open() as nobody:  # noqa: ASYNC230 - it is there at once
        monkeypatch.setattr(sys, "stdin", nobody)
        serving = asyncio.create_task(
            cli._serve(session, KEY, radio, Language.ENGLISH, owed, devices, display)
        )
        await soon(lambda: radio.server.started)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(serving, 10) == 0
    key = radio.server.get_characteristic(gatt.KEY_UUID)
    assert (GATTAttributePermissions.write_encryption_required in key.permissions) is encrypt
    assert radio.closed
    assert "advertising as BR-" in capsys.readouterr().out


async def test_notifications_have_the_radios_pause_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbus-next stops without a word when it is flooded: see bluez_radio.py."""
    radio, handlers = MockRadio(), Handlers()
    monkeypatch.setattr(radio, "notification_gap", PAUSE)
    link = await started_link(radio, handlers)
    phone = Phone(radio, mtu=100)
    await phone.join(handlers, "started")
    times: list[float] = []

    def notified(uuid: str, _: bytes) -> None:
        if uuid == gatt.CIPHERTEXT_UUID:
            times.append(asyncio.get_running_loop().time())

    radio.server.on_notify = notified
    link.send(MessageType.CARD_ENVELOPE, bytes(600))
    await soon(lambda: len(times) >= 7)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(pauses) >= PAUSE * 0.9
    await link.stop()
