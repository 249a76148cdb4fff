"""One room full of virtual radios, in one process or in several over TCP on loopback."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from bumble import hci
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.snoop import BtSnooper
from bumble.transport.common import AsyncPacketReader, AsyncPipeSink, StreamPacketSink

from virtual_radio.airwaves import Airwaves
from virtual_radio.conditions import RadioConditions
from virtual_radio.controller import RadioController
from virtual_radio.endpoint import Endpoint
from virtual_radio.patient_host import PatientHost

logger = logging.getLogger(__name__)

ADVERTISING_INTERVAL_MS: Final = 20.0
"""The shortest that is allowed (Core 5.4, 4.E.7.8.5): tests shall not wait for adverts."""
_MOST_RADIOS: Final = 250


class Ether:
    """A room: radios in it hear each other as `conditions` allow.

    `capture` names a btsnoop file, written as things happen, of all that passes between the first radio
    added and its controller: what Wireshark shows of a real adapter. Use it as an asynchronous context
    manager, or call `close`.
    """

    def __init__(self, conditions: RadioConditions | None = None, capture: Path | None = None) -> None:
        self.conditions = conditions or RadioConditions()
        self._airwaves = Airwaves(self.conditions)
        self._devices: list[Device] = []
        self._radios = 0
        self._server: asyncio.Server | None = None
        self._visitors: set[asyncio.Task[None]] = set()
        # Unbuffered, so that the file is whole when the process is killed.
        self._capture: BinaryIO | None = capture.open("wb", buffering=0) if capture else None

    async def __aenter__(self) -> Ether:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def add_device(self, name: str) -> Device:
        """A radio of this process, powered on; `name` is for logs."""
        controller = self._new_controller(name)
        device = make_device(
            name, PatientHost(controller, AsyncPipeSink(controller)), controller.public_address
        )
        if self._capture and not self._devices:
            device.host.snooper = BtSnooper(self._capture)
        self._devices.append(device)
        await device.power_on()
        return device

    async def serve(self, host: str, port: int) -> int:
        """Let other processes `join` the room; returns the port. Raises InputError off loopback.

        Every TCP connection is one radio. When it closes, its links time out: its process is gone.
        """
        endpoint = Endpoint(host, port)
        self._server = await asyncio.start_server(self._visit, endpoint.host, endpoint.port)
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    def cut(self) -> None:
        """Drop every link now, as a supervision timeout does. The radios may connect again at once."""
        self._airwaves.cut()

    def part(self) -> None:
        """Take the radios out of range of each other: links are lost, adverts unheard, until `meet`."""
        self._airwaves.in_range = False
        self._airwaves.cut()

    def meet(self) -> None:
        """Bring the radios back into range."""
        self._airwaves.in_range = True

    async def close(self) -> None:
        """Switch everything off."""
        if self._server:
            self._server.close()
        for visitor in self._visitors:
            visitor.cancel()
        await asyncio.gather(*self._visitors, return_exceptions=True)
        if self._server:
            await self._server.wait_closed()
        self._airwaves.cut()
        # The radios' own loops still hold the disconnects: let them see those before they are switched off.
        for _ in range(4):
            await asyncio.sleep(0)
        for device in self._devices:
            await device.power_off()
        for controller in list(self._airwaves.controllers):
            self._airwaves.remove_controller(controller)
        if self._capture:
            for device in self._devices:
                device.host.snooper = None
            self._capture.close()

    def _new_controller(self, name: str) -> RadioController:
        if self._radios >= _MOST_RADIOS:
            raise RuntimeError("the room is full")
        self._radios += 1
        address = hci.Address(f"F0:F0:F0:F0:F0:{self._radios:02X}", hci.Address.RANDOM_DEVICE_ADDRESS)
        return RadioController(name, self._airwaves, address)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One radio of another process: HCI over TCP for as long as that lives."""
        task = asyncio.current_task()
        assert task
        self._visitors.add(task)
        controller = self._new_controller(f"visitor {self._radios + 1}")
        controller.set_packet_sink(StreamPacketSink(writer.transport))
        packets = AsyncPacketReader(reader)
        try:
            while True:
                controller.on_packet(await packets.next_packet())
        except (asyncio.IncompleteReadError, ConnectionError):
            with suppress(asyncio.CancelledError):  # close() does not wait for the timeout
                await asyncio.sleep(self.conditions.supervision_timeout)
        except asyncio.CancelledError:
            pass  # close() ends the room; the caller waits for us
        except Exception:
            logger.warning("a radio that joined sent what is no HCI; it is switched off", exc_info=True)
        finally:
            self._visitors.discard(task)
            controller.set_packet_sink(None)
            self._airwaves.remove_controller(controller)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def make_device(name: str, host: Host, address: hci.Address) -> Device:
    """A Bumble device as this package uses it: LE only, fast adverts, no services but its own."""
    configuration = DeviceConfiguration(
        name=name,
        address=address,
        advertising_interval_min=ADVERTISING_INTERVAL_MS,
        advertising_interval_max=ADVERTISING_INTERVAL_MS,
        classic_enabled=False,
    )
    return Device(config=configuration, host=host)
