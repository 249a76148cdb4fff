"""One handset program with its links tapped, and what passed over them."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

from handset_client.adapters.bleak_link import Backends, BleakReaderLink
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.issuer_socket import IssuerSocket, SocketSettings
from handset_client.issuer_frames import FromReader, OutcomeWanted, PaymentOver, Result
from handset_client.ports import Credential, IssuerUp
from handset_client.service import HandsetService
from protocol.identifiers import PaymentId, mint
from protocol.messages import MessageType
from tests.journey.person import Person
from tests.journey.taps import Handed, TappedIssuerLink, TappedReaderLink, Way, Wire
from tests.journey.times import Times


class Phone:
    """One handset program: service, tapped links, and what passed."""

    def __init__(
        self, credential: Credential, radio: Backends, person: Person, folder: Path, times: Times
    ) -> None:
        self.wire: Wire = Wire("the phone's links")
        settings = SocketSettings(first_pause=0.02, longest_pause=0.1)
        self._socket = IssuerSocket(credential.issuer_url, credential.token, settings)
        self.issuer_link = TappedIssuerLink(self._socket, self.wire)
        self.reader_link = TappedReaderLink(BleakReaderLink(times.link, radio), self.wire)
        self.service = HandsetService(
            self.reader_link, self.issuer_link, person.phone, HistoryFile(folder), times.phone
        )
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run until `stop`; returns once the issuer has welcomed it."""
        self._task = asyncio.create_task(self.service.run(self._stop))
        await self.wire.until(lambda passed: isinstance(passed[1], IssuerUp))

    async def stop(self) -> None:
        """Quit as a person does."""
        self._stop.set()
        if self._task is not None:
            await self._task

    def out_of_reach(self) -> None:
        """From the next connection on there is no issuer where it looks for one."""
        self._socket._url = "http://127.0.0.1:1"

    def heard(self, kind: type[object], payment_id: str) -> list[Any]:
        """What of a kind the issuer told this phone about a payment."""
        return [
            frame
            for way, frame in self.wire.entries
            if way is Way.FROM_ISSUER and isinstance(frame, kind) and payment_of(frame) == payment_id
        ]

    def told_the_end(self, payment_id: str) -> bool:
        """Whether the issuer told the phone that the payment is over."""
        return bool(self.heard(Result, payment_id) or self.heard(PaymentOver, payment_id))

    def brought(self, kind: MessageType, payment_id: str) -> list[Handed]:
        """What of a kind the phone handed to the reader for a payment."""
        return [
            item
            for way, item in self.wire.entries
            if way is Way.TO_READER
            and isinstance(item, Handed)
            and item.kind is kind
            and item.payment_id == payment_id
        ]

    def carried(self, payment_id: str) -> list[FromReader]:
        """What of the reader's the phone sent on for a payment, in order."""
        return [
            frame
            for way, frame in self.wire.entries
            if way is Way.TO_ISSUER and isinstance(frame, FromReader) and frame.payment_id == payment_id
        ]

    async def caught_up(self) -> None:
        """Once this returns, everything that the issuer had said by now has reached the phone."""
        probe = PaymentId(mint("pay", secrets.token_bytes(16)))
        self.issuer_link.inject(OutcomeWanted(probe))
        await self.wire.until(
            lambda passed: isinstance(passed[1], PaymentOver) and passed[1].payment_id == probe
        )


def payment_of(frame: object) -> str | None:
    """The payment that something on the wire is about, where it says."""
    return getattr(frame, "payment_id", None)
