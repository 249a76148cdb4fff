"""The time that the handset adds: from the last byte of a message in to its first byte out.

    python -m benchmarks.handset_added_time --payments 200

Issuer, reader and shop run in this process, the handset in one of its own, so that nobody else's work is
counted. In the handset the clock starts where the operating system hands over the last bytes (the socket's
data, the notification from bleak's back end) and stops where the first bytes go out (bleak's back end is
given a write, the WebSocket a frame). Prints JSON; times in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import secrets
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aiohttp import client_proto
from aiohttp._websocket import writer as websocket_writer

from handset_client.adapters.bleak_link import BleakReaderLink
from handset_client.adapters.credential_file import CredentialFile
from handset_client.adapters.enrolment_http import enrol
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.issuer_socket import IssuerSocket, SocketSettings
from handset_client.adapters.link_session import LinkSettings
from handset_client.adapters.radio import open_radio
from handset_client.adapters.reader_search import Backends
from handset_client.effects import KeptOutcome
from handset_client.issuer_frames import PaymentRequest, ToReader
from handset_client.ports import ReaderReady, ReaderSaid
from handset_client.relay_call import Patience
from handset_client.scripted import ScriptedScreen
from handset_client.service import HandsetService, Happening
from issuer_server.seed import seed
from merchant_terminal.issuer_api import ApiKey, IssuerApi
from merchant_terminal.payment import Charge
from protocol.money import Money
from tests.journey.parties import JPY, PHONE, Issuer, Times, make_reader
from tests.journey.person import Person
from virtual_radio.ether import Ether

READER_WAITED_FOR = 0.3
"""The person approves when the reader is there: approving is not what is measured."""
_START, _TYPE = 0x80, 0x3F


class Stopwatch:
    """Stamps the four edges of the handset and pairs what came in with what went out for it."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = defaultdict(list)
        self.disk: list[float] = []
        self._socket_in = self._notified = 0.0
        self._to_reader: tuple[int, str, float] | None = None
        self._to_issuer: tuple[str, float] | None = None
        self.greeted = asyncio.Event()

    def watch(self, happening: Happening) -> None:
        """HandsetService's own observer: which message is passing."""
        match happening:
            case ReaderReady():
                self.greeted.set()
            case ToReader(kind=kind):
                self._to_reader = (kind, f"{kind.name.lower()}, issuer to reader", self._socket_in)
            case ReaderSaid(kind=kind):
                self._to_issuer = (f"{kind.name.lower()}, reader to issuer", self._notified)

    def socket_in(self) -> None:
        self._socket_in = time.perf_counter()

    def notified(self) -> None:
        self._notified = time.perf_counter()

    def written(self, value: bytes) -> None:
        """bleak's back end is given a value."""
        if self._to_reader and value[0] & _START and value[0] & _TYPE == self._to_reader[0]:
            _, name, since = self._to_reader
            self.samples[name].append(time.perf_counter() - since)
            self._to_reader = None

    def framed(self, frame: bytes) -> None:
        """The WebSocket is given a frame."""
        if self._to_issuer and b'"from_reader"' in frame:
            name, since = self._to_issuer
            self.samples[name].append(time.perf_counter() - since)
            self._to_issuer = None

    @contextlib.contextmanager
    def at_the_edges(self, radio: Backends) -> Iterator[Backends]:
        """Back ends with the watch in them, and the watch in aiohttp's socket."""
        watch = self
        client: Any = radio.client

        class Timed(client):  # type: ignore[misc]
            async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:
                watch.written(bytes(data))
                await super().write_gatt_char(characteristic, data, response)

            async def start_notify(self, characteristic: Any, callback: Any, **options: Any) -> None:
                def stamped(value: bytearray) -> None:
                    watch.notified()
                    callback(value)

                await super().start_notify(characteristic, stamped, **options)

        handler: Any = client_proto.ResponseHandler
        writer: Any = websocket_writer.WebSocketWriter
        data_received, send_frame = handler.data_received, writer.send_frame

        def timed_in(protocol: Any, data: bytes) -> None:
            watch.socket_in()
            data_received(protocol, data)

        async def timed_out(self: Any, message: bytes, *rest: Any, **more: Any) -> None:
            watch.framed(bytes(message))
            await send_frame(self, message, *rest, **more)

        handler.data_received, writer.send_frame = timed_in, timed_out
        try:
            yield Backends(radio.scanner, Timed)
        finally:
            handler.data_received, writer.send_frame = data_received, send_frame


class TimedHistory(HistoryFile):
    """The history file, with the time that the disk takes before a message may go on."""

    def __init__(self, folder: Path, watch: Stopwatch) -> None:
        super().__init__(folder)
        self._watch = watch

    async def keep_outcome(self, kept: KeptOutcome, at: float) -> None:
        began = time.perf_counter()
        await super().keep_outcome(kept, at)
        self._watch.disk.append(time.perf_counter() - began)


async def be_the_phone(folder: Path, radio_text: str) -> None:
    """The handset's process: runs until its standard input ends, then prints its samples."""
    watch = Stopwatch()
    credential = CredentialFile(folder).load()
    assert credential is not None
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stop.set)))

    class Screen(ScriptedScreen):
        def ask(self, request: PaymentRequest, seconds_left: float) -> None:
            watch.greeted.clear()
            super().ask(request, seconds_left)

    async with open_radio(radio_text) as radio:
        with watch.at_the_edges(radio) as timed:
            service = HandsetService(
                BleakReaderLink(LinkSettings(), timed),
                IssuerSocket(credential.issuer_url, credential.token, SocketSettings()),
                Screen(lambda _: True, delay=READER_WAITED_FOR),
                TimedHistory(folder, watch),
                Patience(),
                watch=watch.watch,
            )
            await service.run(stop)
    print(json.dumps({"samples": watch.samples, "disk": watch.disk}), flush=True)


async def measure(payments: int) -> dict[str, object]:
    """Pay so often, and sum up what the phone's process measured."""
    with tempfile.TemporaryDirectory() as name:
        folder, person = Path(name), Person()
        issuer = Issuer(folder / "issuer", Times())
        await issuer.start()
        try:
            said = await _pay(folder, issuer, person, payments)
        finally:
            await issuer.stop()
    every = [sample for samples in said["samples"].values() for sample in samples]
    return {
        "benchmark": "handset_added_time",
        "payments": payments,
        "unit": "ms",
        "all_messages": _figures(every),
        "by_message": {name: _figures(samples) for name, samples in sorted(said["samples"].items())},
        "of_which_waiting_for_the_disk": _figures(said["disk"]),
    }


async def _pay(folder: Path, issuer: Issuer, person: Person, payments: int) -> Any:
    store = issuer.running.storage
    seeded = await seed(store, issuer.keys.cards, issuer.address(), secrets.token_bytes, time.time())
    owner = seeded.cardholders[0]
    CredentialFile(folder / "phone").save(await enrol(owner.handset_code, None))
    async with Ether() as ether, IssuerApi(issuer.url, ApiKey(seeded.merchant.api_key)) as merchant:
        reader = await make_reader(owner.reader_code, folder / "reader", ether, person, Times().reader)
        await reader.service.start()
        radio = f"virtual:127.0.0.1:{await ether.serve('127.0.0.1', 0)}"
        phone = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.handset_added_time", "--phone", str(folder / "phone"), radio),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        for number in range(payments):
            charge = Charge(PHONE, Money(1, JPY), f"payment {number}")
            payment = await merchant.create_payment(charge, secrets.token_hex(16))
            while not payment.over:
                payment = await merchant.payment(payment.id, wait=10)
            if not payment.completed:
                raise SystemExit(f"payment {number} ended as {payment.reason}")
        output, _ = await phone.communicate(b"")
        await reader.service.stop()
        return json.loads(output)


def _figures(samples: Sequence[float]) -> dict[str, float]:
    ordered = sorted(1000 * sample for sample in samples)
    return {
        "count": len(ordered),
        "median": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
        "longest": round(ordered[-1], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The time that the handset adds to a message; prints JSON.")
    parser.add_argument("--payments", type=int, default=200)
    parser.add_argument("--phone", nargs=2, metavar=("FOLDER", "RADIO"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    if arguments.phone:
        asyncio.run(be_the_phone(Path(arguments.phone[0]), arguments.phone[1]))
    else:
        print(json.dumps(asyncio.run(measure(arguments.payments)), indent=2))


if __name__ == "__main__":
    main()
