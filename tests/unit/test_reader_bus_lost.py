"""A D-Bus that is restarted under the reader: a real dbus-daemon, and one adapter played on it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

if sys.platform != "linux" or shutil.which("dbus-daemon") is None:
    pytest.skip("needs a dbus-daemon", allow_module_level=True)

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType
from dbus_next.service import ServiceInterface, dbus_property

from reader_peripheral import cli
from reader_peripheral.adapters import bless_on_bluez
from reader_peripheral.adapters.bluez_radio import BluezRadio
from reader_peripheral.adapters.peripheral_radio import RadioError
from tests.unit.reader_mock_bluez import ADAPTER, PHONE, MockAdapter
from tests.unit.reader_mock_radio import MockRadio

RULES = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""


class Adapter(ServiceInterface):
    """As much of Adapter1 as is looked at."""

    def __init__(self) -> None:
        super().__init__("org.bluez.Adapter1")  # type: ignore[no-untyped-call]
        self._alias = "raspberrypi"

    @dbus_property()
    def Alias(self) -> "s":  # type: ignore # noqa: F821, N802, UP037 - D-Bus types
        return self._alias

    @Alias.setter  # type: ignore
    def Alias(self, alias: "s"):  # type: ignore # noqa: F821, N802, UP037 - D-Bus types
        self._alias = alias

    @dbus_property()
    def Powered(self) -> "b":  # type: ignore # noqa: F821, N802, UP037 - D-Bus types
        return True

    @Powered.setter  # type: ignore
    def Powered(self, powered: "b"):  # type: ignore # noqa: F821, N802, UP037 - D-Bus types
        pass


@pytest.fixture
async def daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.subprocess.Process]:
    rules, socket = tmp_path / "bus.conf", tmp_path / "bus"
    rules.write_text(RULES.format(path=socket))
    process = await asyncio.create_subprocess_exec(
        "dbus-daemon", f"--config-file={rules}", "--nofork", "--print-address", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 10), "it listens"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={socket}")
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_a_bus_that_is_restarted_ends_the_reader_with_words(
    daemon: asyncio.subprocess.Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def get_adapter(_bus: object, _name: str | None) -> MockAdapter:
        return MockAdapter()

    monkeypatch.setattr(bless_on_bluez, "get_adapter", get_adapter)
    bluez = await MessageBus(bus_type=BusType.SYSTEM).connect()
    adapter = Adapter()
    bluez.export(ADAPTER, adapter)
    await bluez.request_name("org.bluez")
    radio = BluezRadio()
    await radio.open("BR-0a1b", lambda *_: None)
    assert adapter._alias == "BR-0a1b"
    serving = asyncio.create_task(cli._until(asyncio.Event(), radio))
    daemon.kill()
    with pytest.raises(RadioError, match="connection to D-Bus is lost"):
        await asyncio.wait_for(serving, 10)
    async with asyncio.timeout(5):
        await radio.disconnect(PHONE)
        await radio.close()
    assert "Traceback" not in caplog.text
    with pytest.raises(Exception):  # noqa: B017 - EOFError or what else dbus-next makes of it
        await bluez.wait_for_disconnect()
    bluez._stream.close()
    bluez._sock.close()


async def test_who_is_asked_to_end_does_so_without_a_word() -> None:
    stop = asyncio.Event()
    serving = asyncio.create_task(cli._until(stop, MockRadio()))
    await asyncio.sleep(0)
    assert not serving.done()
    stop.set()
    await asyncio.wait_for(serving, 2)
