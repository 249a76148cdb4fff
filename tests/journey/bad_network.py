"""What carries the phone's bytes, with faults on order: a WebSocket forwarder, a hand on the virtual air."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from bumble import att

from tests.journey.weather import Cut, Weather, Where
from virtual_radio.conditions import RadioConditions
from virtual_radio.ether import Ether

_VALUES: Final = (att.Opcode.ATT_WRITE_REQUEST, att.Opcode.ATT_HANDLE_VALUE_NOTIFICATION)
_OPCODE_AT: Final = 4


class Wire:
    """Forwards one phone's WebSockets to the issuer, frame by frame, with the cuts and delay of a weather."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname, parts.port
        self.weather: Weather | None = None
        """None: fair."""
        self.frames = 0
        """Frames that passed either way since the weather came."""
        self.cuts_made = 0
        self.on_frame: Callable[[int], None] = lambda number: None
        self._away_until = 0.0
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; `url` stands in for the issuer's."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def cut(self, away: float = 0.0) -> None:
        """Every connection is lost now, and none is taken for `away` seconds."""
        self._away_until = asyncio.get_running_loop().time() + away
        for writer in self._open:
            writer.transport.abort()

    def clear_up(self) -> None:
        """Fair weather from now on."""
        self.weather = None
        self._away_until = 0.0

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asyncio.get_running_loop().time() < self._away_until:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        ways = [
            asyncio.ensure_future(self._carry(reader, far_writer)),
            asyncio.ensure_future(self._carry(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open -= {writer, far_writer}
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, far_writer):
                each.close()
                try:
                    await each.wait_closed()
                except OSError:
                    pass  # it was cut

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            sink.write(await source.readuntil(b"\r\n\r\n"))
            while True:
                await self._pass(await _frame(source), sink)
        except (asyncio.IncompleteReadError, OSError):
            pass  # one side hung up, or was cut

    async def _pass(self, frame: bytes, sink: asyncio.StreamWriter) -> None:
        weather = self.weather
        if weather is None:
            sink.write(frame)
            return
        self.frames += 1
        self.on_frame(self.frames)
        cut = weather.wire_cuts.get(self.frames)
        if weather.wire_delay:
            await asyncio.sleep(weather.wire_delay)
        if cut is None or self.weather is None:
            sink.write(frame)
            return
        if cut.where is not Where.BEFORE:
            sink.transport.set_write_buffer_limits(high=0)  # drained is then: all of it has left
            sink.write(frame if cut.where is Where.AFTER else frame[: len(frame) // 2])
            await sink.drain()
        self.cuts_made += 1
        self.cut(cut.away if self.weather else 0.0)


async def _frame(source: asyncio.StreamReader) -> bytes:
    """One frame of RFC 6455, section 5.2, as it is."""
    head = await source.readexactly(2)
    size = head[1] & 0x7F
    extension = b""
    if size > 125:
        extension = await source.readexactly(2 if size == 126 else 8)
        size = int.from_bytes(extension, "big")
    return head + extension + await source.readexactly(size + (4 if head[1] & 0x80 else 0))


class Air:
    """A hand on an ether: counts the values written and notified, and cuts where the weather says."""

    def __init__(self, ether: Ether, weather: Weather) -> None:
        self._ether = ether
        self._weather: Weather | None = weather
        self.values = 0
        self.cuts_made = 0
        self._airwaves: Any = ether._airwaves
        self._send = self._airwaves.send_acl_data
        self._airwaves.send_acl_data = self._count

    def clear_up(self) -> None:
        """Fair weather from now on, for links that are up as well."""
        self._weather = None
        self._ether.meet()
        fair = RadioConditions(connection_interval=self._ether.conditions.connection_interval)
        self._airwaves._conditions = fair
        for path in self._airwaves._paths.values():
            path.air._conditions = fair

    def describe(self) -> str:
        """Who is linked to whom, and who advertises: for a report of what went wrong."""
        radios = [
            f"{controller.name}: {len(controller.le_connections)} links"
            + (", advertises" if any(each.enabled for each in controller.advertising_sets.values()) else "")
            + (", scans" if controller.le_scan_enable else "")
            for controller in self._airwaves.controllers
        ]
        return "; ".join([*radios, "in range" if self._airwaves.in_range else "out of range"])

    def _count(self, sender: Any, destination: Any, transport: Any, data: bytes) -> None:
        cut = None
        if self._weather is not None and data[_OPCODE_AT] in _VALUES:
            self.values += 1
            cut = self._weather.radio_cuts.get(self.values)
        loop = asyncio.get_running_loop()
        if cut is None:
            self._send(sender, destination, transport, data)
        elif cut.where is Where.AFTER:
            self._send(sender, destination, transport, data)
            loop.call_later(2 * self._ether.conditions.connection_interval, self._lose, cut)
        else:
            loop.call_soon(self._lose, cut)

    def _lose(self, cut: Cut) -> None:
        self.cuts_made += 1
        # Where the payment was over with this value, the cut still comes, and the next one has to outlive it.
        if cut.away and self._weather is not None:
            self._ether.part()
            asyncio.get_running_loop().call_later(cut.away, self._ether.meet)
        else:
            self._ether.cut()
