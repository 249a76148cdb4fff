"""The shell around the relay machine: takes events from the ports, carries out the effects, keeps time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from handset_client.effects import (
    Amend,
    Ask,
    ConnectReader,
    Disregard,
    Finish,
    Forget,
    Keep,
    Notice,
    NoticeKind,
    Progress,
    Record,
    RelayEffect,
    ReleaseReader,
    SendToIssuer,
    SendToReader,
    Tell,
)
from handset_client.issuer_frames import IssuerFrame
from handset_client.notebook import Notebook
from handset_client.ports import (
    Answer,
    CredentialRefusedError,
    History,
    IssuerEvent,
    IssuerLink,
    IssuerUp,
    ReaderAway,
    ReaderEvent,
    ReaderLink,
    ReaderLost,
    ReaderReady,
    ReaderSaid,
    ReaderTook,
    Screen,
)
from handset_client.relay import Relay
from handset_client.relay_call import Patience

_log = logging.getLogger(__name__)

FAREWELL: Final = 10.0
"""Seconds for the connections to close, and then for the disk; the program ends all the same."""

FOR_THE_LOG: Final = frozenset(
    {
        NoticeKind.READER_FAILED,
        NoticeKind.ISSUER_COMPLAINED,
        NoticeKind.BLUETOOTH_OFF,
        NoticeKind.BLUETOOTH_DENIED,
        NoticeKind.BLUETOOTH_FAILED,
    }
)
"""Their detail is a system's own words: no help to a person, and in no language of theirs."""

Happening = ReaderEvent | IssuerEvent | Answer | RelayEffect
Watch = Callable[[Happening], None]


def _watch_nothing(_happening: Happening) -> None:
    """Nobody looks on."""


class HandsetService:
    """Runs one phone until told to stop. `watch` sees every event and every effect, as the demo does."""

    def __init__(
        self,
        reader: ReaderLink,
        issuer: IssuerLink,
        screen: Screen,
        history: History,
        patience: Patience,
        *,
        watch: Watch = _watch_nothing,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._issuer = issuer
        self._screen = screen
        self._history = history
        self._patience = patience
        self._watch = watch
        self._unix_time = unix_time
        self._notebook = Notebook(lambda why: screen.tell(Notice(NoticeKind.HISTORY_FAILED, why)))

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set or the person quits; closes every port before it returns.

        Raises CredentialRefusedError when the issuer sends this phone away for good.
        """
        kept = await self._history.kept_outcomes(self._unix_time())
        relay = Relay(self._patience, kept, await self._history.in_doubt())
        self._issuer.start()
        writing = asyncio.create_task(self._notebook.run(), name="notebook")
        try:
            try:
                await self._serve(relay, stop, writing)
            finally:
                self._perform(relay.stop(_now()))
            await self._hear_out(relay)
        finally:
            await self._close(relay, writing)

    async def _serve(self, relay: Relay, stop: asyncio.Event, writing: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(_stopped(stop))
        reader = asyncio.create_task(self._reader.next_event())
        issuer = asyncio.create_task(self._issuer.next_event())
        person = asyncio.create_task(self._screen.next_answer())
        try:
            while True:
                deadline = relay.deadline()
                timeout = None if deadline is None else max(0.0, deadline - _now())
                await asyncio.wait(
                    (stopping, reader, issuer, person, writing),
                    timeout=timeout,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if writing.done():
                    writing.result()  # it ends before us only by a bug
                # Taken even at the end: the issuer has our acknowledgement and does not say it again.
                if issuer.done():
                    try:
                        news = issuer.result()
                    except CredentialRefusedError as refusal:
                        self._screen.tell(Notice(NoticeKind.TURNED_AWAY, refusal.why))
                        raise
                    self._perform(self._from_issuer(relay, news))
                    issuer = asyncio.create_task(self._issuer.next_event())
                if stopping.done():
                    return
                if reader.done():
                    self._perform(self._from_reader(relay, reader.result()))
                    reader = asyncio.create_task(self._reader.next_event())
                if person.done():
                    try:
                        answer = person.result()
                    except EOFError:
                        return
                    self._perform(self._from_person(relay, answer))
                    person = asyncio.create_task(self._screen.next_answer())
                self._perform(relay.handle_timer(_now()))
        finally:
            waiting = (stopping, reader, issuer, person)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _from_reader(self, relay: Relay, event: ReaderEvent) -> Iterable[RelayEffect]:
        self._watch(event)
        match event:
            case ReaderReady(reader_id, hello):
                return relay.reader_ready(reader_id, hello, _now())
            case ReaderAway():
                return relay.reader_away(_now())
            case ReaderLost():
                return relay.reader_lost(_now())
            case ReaderSaid(kind, data):
                return relay.reader_said(kind, data, _now())
            case ReaderTook(payment_id, kind):
                return relay.reader_took(payment_id, kind, _now())
            case Notice():
                self._tell(event)
                return ()

    def _from_issuer(self, relay: Relay, event: IssuerEvent) -> Iterable[RelayEffect]:
        self._watch(event)
        if isinstance(event, Notice):
            self._tell(event)
            return ()
        if isinstance(event, IssuerUp):
            return relay.issuer_welcomed(event.fresh, _now())
        frame: IssuerFrame = event
        return relay.issuer_said(frame, _now())

    def _from_person(self, relay: Relay, answer: Answer) -> Iterable[RelayEffect]:
        self._watch(answer)
        if answer.approved:
            self._reader.expect_message()
            return relay.person_approved(answer.payment_id, _now())
        return relay.person_declined(answer.payment_id, _now(), answer.declined)

    def _perform(self, effects: Iterable[RelayEffect]) -> None:
        for effect in effects:
            self._watch(effect)
            match effect:
                case Ask(request, seconds_left):
                    self._screen.ask(request, seconds_left)
                case Tell(what):
                    self._tell(what)
                case Finish(ending):
                    self._screen.finish(ending)
                    self._notebook.write(partial(self._history.record, ending, self._unix_time()))
                case Record(ending):
                    self._notebook.write(partial(self._history.record, ending, self._unix_time()))
                case Amend(ending):
                    self._screen.amend(ending)
                    self._notebook.write(partial(self._history.amend, ending, self._unix_time()))
                case ConnectReader():
                    self._reader.connect()
                case ReleaseReader():
                    self._reader.release()
                case SendToReader(payment_id, kind, data):
                    self._reader.send(payment_id, kind, data)
                case SendToIssuer(frame):
                    self._issuer.send(frame)
                case Keep(kept):
                    self._notebook.write(partial(self._history.keep_outcome, kept, self._unix_time()))
                case Forget(payment_id):
                    self._notebook.write(partial(self._history.forget_outcome, payment_id))
                case Disregard(event, state):
                    _log.warning("%s has no place now (%s); nothing changed", event, state)

    def _tell(self, what: Progress | Notice) -> None:
        """To the person in words; what these two hold beside is for who looks after the program."""
        if isinstance(what, Notice) and what.kind in FOR_THE_LOG:
            _log.warning("%s: %s", what.kind.name.lower(), what.detail)
        self._screen.tell(what)

    async def _hear_out(self, relay: Relay) -> None:
        """A moment for the issuer: what it says of the payment under way spares a person the doubt."""
        try:
            async with asyncio.timeout(self._patience.farewell):
                while relay.unanswered is not None:
                    self._perform(self._from_issuer(relay, await self._issuer.next_event()))
        except TimeoutError:
            _log.info("stopping without the issuer's word on the payment under way")

    async def _close(self, relay: Relay, writing: asyncio.Task[None]) -> None:
        # The issuer hears the last word first; the reader link may need a moment to hang up.
        try:
            async with asyncio.timeout(FAREWELL):
                await asyncio.gather(self._issuer.close(), self._reader.close())
        except TimeoutError:
            _log.warning("a connection did not end in time")
        self._perform(relay.last_words(self._issuer.unheard()))
        self._notebook.close()
        await asyncio.wait([writing], timeout=FAREWELL)
        if not writing.done():
            _log.warning("the disk did not take everything in time")
            writing.cancel()
        await self._screen.close()
        if not writing.cancelled() and writing.done():
            writing.result()


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
