"""The network between phone and issuer: a TCP forwarder on loopback, which a demonstration can cut."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

CHUNK: Final = 64 * 1024


class MobileNetwork:
    """Forwards to one server while there is coverage. Losing it aborts every connection, as a tunnel does."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._target = parts.hostname or "127.0.0.1", parts.port or 80
        self._coverage = True
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; `url` then stands in for the server's."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def lose_coverage(self) -> None:
        """Drop what is open, take nothing new."""
        self._coverage = False
        for writer in self._open:
            writer.transport.abort()

    async def stop(self) -> None:
        """Take the network down."""
        self.lose_coverage()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._coverage:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            for each in (writer, far_writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()
