"""The relay machine: one payment at a time between issuer, person and reader. Pure.

Every method takes what happened and `now` (seconds of any monotonic clock) and returns effects as
values; nothing is sent, shown or written here. The moves stand in handset_client.relay_table. This
module adds what a table cannot hold: the bytes that pass, the clocks, the queue of further calls
and the outcomes still owed to readers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from handset_client.afterwards import Afterwards
from handset_client.effects import (
    Ask,
    ConnectReader,
    Disregard,
    End,
    Ending,
    Finish,
    HowDeclined,
    KeptOutcome,
    Notice,
    NoticeKind,
    Progress,
    Record,
    RelayEffect,
    ReleaseReader,
    SendToIssuer,
    SendToReader,
    Step,
    Tell,
)
from handset_client.issuer_frames import (
    Decline,
    DeclineReason,
    FromReader,
    IssuerComplaint,
    IssuerFrame,
    PaymentOver,
    PaymentRequest,
    PhoneFrame,
    Result,
    ToReader,
)
from handset_client.relay_call import (
    DELIVERING,
    MESSAGE_EVENTS,
    OUR_OWN_WORD,
    RESULT_SEEN,
    RINGS,
    Call,
    Clock,
    Passing,
    Patience,
    Session,
    as_result,
    ending_of,
    frame_of,
    told_of,
)
from handset_client.relay_table import RELAY, Effect, Event, State
from handset_client.waiting_calls import WaitingCalls
from handset_client.withdrawals import switched_off
from protocol.errors import LocalProtocolError
from protocol.identifiers import PaymentId, ReaderId
from protocol.messages import MessageType, NotSettled


class Relay:
    """Feed it what happens, carry out what it returns, and call :meth:`handle_timer` at :meth:`deadline`."""

    def __init__(
        self, patience: Patience, kept: Iterable[KeptOutcome] = (), doubts: Iterable[Ending] = ()
    ) -> None:
        self._patience = patience
        self._call: Call | None = None
        self._waiting = WaitingCalls()
        self._reader: Session | None = None
        self._linked = False
        """Whether the reader is there now: a session outlives its link for a while."""
        self._past = Afterwards(kept, doubts)
        self._owed = self._past.owed
        self._stopping = False
        self._effects: list[RelayEffect] = []

    # What the person, the issuer and the reader do

    def person_approved(self, payment_id: PaymentId, now: float) -> list[RelayEffect]:
        """S33: Approve was pressed for this payment. Pressing twice is no error."""
        self._if_current(payment_id, Event.APPROVE, None, now)
        return self._drain()

    def person_declined(
        self, payment_id: PaymentId, now: float, how: HowDeclined = HowDeclined.BY_PERSON
    ) -> list[RelayEffect]:
        """S46: Decline was pressed for this payment."""
        if self._call is not None and self._is_current(payment_id):
            self._call.declined = how
        self._if_current(payment_id, Event.DECLINE, None, now)
        return self._drain()

    def issuer_said(self, frame: IssuerFrame, now: float) -> list[RelayEffect]:
        """A frame came from the issuer, once and in order."""
        match frame:
            case PaymentRequest():
                self._called(frame, now)
            case ToReader():
                self._to_reader(frame, now)
            case Result():
                self._result(frame, now, Event.RESULT)
            case PaymentOver(payment_id, "unknown_payment") if self._is_past(payment_id):
                self._do(*self._past.unknown(payment_id))
            case PaymentOver(payment_id, "unknown_payment") if self._is_current(payment_id):
                self._peer_event(Event.PAYMENT_UNKNOWN, as_result(frame), now)
            case PaymentOver():
                self._result(as_result(frame), now, Event.PAYMENT_OVER)
            case IssuerComplaint():
                self._do(Tell(Notice(NoticeKind.ISSUER_COMPLAINED, f"{frame.code}: {frame.detail}")))
        return self._drain()

    def issuer_welcomed(self, fresh: bool, now: float) -> list[RelayEffect]:
        """The issuer's socket is up. `fresh`: it knows nothing of what was under way before."""
        if fresh:
            self._issuer_forgot(now)
        self._next(now)
        return self._drain()

    def reader_ready(self, reader_id: ReaderId, hello: bytes, now: float) -> list[RelayEffect]:
        """A new session with the reader is up; its hello goes to the issuer unread."""
        reader, self._linked = Session(reader_id, hello), True
        if self._call is None:
            self._do(ReleaseReader())
            return self._drain()
        self._do(*self._past.brought_to(reader_id, but=self._current_id()))
        self._peer_event(Event.READER_READY, reader, now)
        return self._drain()

    def reader_away(self, now: float) -> list[RelayEffect]:
        """The link to the reader is down, for a moment or for good."""
        self._linked = False
        if self._call is not None and RELAY.allows(self._call.state, Event.READER_AWAY):
            self._happen(Event.READER_AWAY, None, now)
        self._give_way(now)
        return self._drain()

    def reader_lost(self, now: float) -> list[RelayEffect]:
        """The session with the reader cannot be resumed any more."""
        self._reader, self._linked = None, False
        if self._call is not None:
            self._peer_event(Event.READER_LOST, None, now)
        self._give_way(now)
        return self._drain()

    def reader_said(self, kind: MessageType, data: bytes, now: float) -> list[RelayEffect]:
        """A message of the reader, complete; it goes to the issuer unread."""
        self._linked = True
        if self._call is None or kind not in MESSAGE_EVENTS:
            self._do(Disregard(kind.name, "no payment" if self._call is None else self._call.state.name))
        else:
            self._peer_event(MESSAGE_EVENTS[kind], FromReader(self._call.payment_id, kind, data), now)
        return self._drain()

    def reader_took(self, payment_id: PaymentId, kind: MessageType, now: float) -> list[RelayEffect]:
        """The reader acknowledged a message of ours, whole."""
        self._linked = True
        if kind is MessageType.OUTCOME:
            if self._call and self._is_current(payment_id) and self._call.state in DELIVERING:
                self._happen(Event.OUTCOME_DELIVERED, None, now)
            else:
                self._do(self._owed.delivered(payment_id))
                self._do(Tell(Notice(NoticeKind.OUTCOME_DELIVERED)))
        return self._drain()

    # The end of the program

    def stop(self, now: float) -> list[RelayEffect]:
        """The person quits the program: say no to what is undecided; what is under way is kept on disk.

        The person is told how these ended by :meth:`last_words`, or by the issuer's word if it comes before.
        """
        self._stopping = True
        self._past.withdrawals.hold_back()
        self._owed.drop_errands()
        for request in self._waiting.all():
            self._do(SendToIssuer(Decline(request.payment_id, DeclineReason.DECLINED)))
            ending = Ending(request, End.NOT_SETTLED, HowDeclined.BY_STOPPING)
            self._do(*self._past.ended(ending, by_us=True))
        if self._call is not None and RELAY.allows(self._call.state, Event.DECLINE):
            self._call.declined = HowDeclined.BY_STOPPING
            self._happen(Event.DECLINE, None, now)
        return self._drain()

    @property
    def unanswered(self) -> PaymentRequest | None:
        """The payment under way whose end the person has still to hear from the issuer."""
        call = self._call
        return None if call is None or call.state in RESULT_SEEN else call.request

    def last_words(self, unheard: Collection[PaymentId]) -> list[RelayEffect]:
        """After :meth:`stop`, and when nothing more goes out; the issuer does not have all about these."""
        if (request := self.unanswered) is not None:
            self._do(Finish(switched_off(request)))
        self._do(*self._past.withdrawals.last_words(unheard))
        return self._drain()

    # Time

    def deadline(self) -> float | None:
        """When :meth:`handle_timer` must be called, or None while nothing runs."""
        times = [] if self._call is None else [*self._call.bells().values()]
        if (over := self._waiting.deadline()) is not None:
            times.append(over)
        return min(times, default=None)

    def handle_timer(self, now: float) -> list[RelayEffect]:
        """Everything whose time is over at `now`."""
        for request in self._waiting.run_out(now):
            self._do(SendToIssuer(Decline(request.payment_id, DeclineReason.NO_RESPONSE)))
            ending = Ending(request, End.NOT_SETTLED, DeclineReason.NO_RESPONSE)
            self._do(*self._past.ended(ending, by_us=True))
        call = self._call
        if call is not None:
            bells = call.bells()
            first = min(bells, key=lambda clock: bells[clock], default=None)
            if first is not None and bells[first] <= now:
                del call.clocks[first]
                self._happen(RINGS[first], None, now)
        return self._drain()

    # How calls begin and end

    def _called(self, request: PaymentRequest, now: float) -> None:
        if self._stopping or request.payment_id in self._waiting or self._is_current(request.payment_id):
            self._do(Disregard("PAYMENT_REQUEST", "already here, or stopping"))
            return
        if (word := self._past.withdrawals.asked_again(request.payment_id)) is not None:
            self._do(SendToIssuer(word))
            return
        if self._waiting.full:
            self._do(SendToIssuer(Decline(request.payment_id, DeclineReason.NO_RESPONSE)))
            return
        self._past.doubts.give_up(request.payment_id)  # asked anew: an earlier run of this program left it
        self._waiting.add(request, now + request.approve_within)
        if self._call is not None and not self._give_way(now):
            self._do(Tell(Notice(NoticeKind.PAYMENT_WAITING, request.merchant_name)))
        self._next(now)

    def _give_way(self, now: float) -> bool:
        """Let a waiting call begin where only an outcome for an absent reader is in its way."""
        call = self._call
        if call is None or call.state is not State.DELIVERING_RESULT_SHOWN or self._waiting.empty:
            return False
        if self._linked and self._can_deliver(call):
            return False
        # The outcome is on disk, for this reader's next session: people come first.
        self._happen(Event.DELIVERY_OVER, None, now)
        return True

    def _next(self, now: float) -> None:
        """Begin what waits: a call if there is one, else an outcome that a reader is owed."""
        if self._call is not None or self._stopping:
            return
        if (waiting := self._waiting.first()) is not None:
            request, over = waiting
            self._call = Call(request.payment_id, request, clocks={Clock.COUNTDOWN: over})
            self._do(Ask(request, max(0.0, over - now)))
            self._do(Tell(Progress(request.payment_id, Step.LOOKING_FOR_READER)))
            self._do(ConnectReader())
        elif (payment_id := self._owed.next_errand()) is not None:
            self._call = Call(payment_id, None, State.DELIVERING_RESULT_SHOWN)
            self._call.clocks[Clock.DELIVERY] = now + self._patience.delivery
            self._do(ConnectReader())

    def _result(self, result: Result, now: float, event: Event) -> None:
        if (request := self._waiting.withdrawn(result.payment_id)) is not None:
            self._do(Tell(Notice(NoticeKind.PAYMENT_WITHDRAWN, request.merchant_name)))
            self._do(Finish(Ending(request, End(result.outcome.value), result.reason, result.last_four)))
            return
        if result.payment_id in self._past.doubts:
            self._do(self._past.doubts.learned(result))
        else:
            self._if_current(result.payment_id, event, result, now)

    def _to_reader(self, frame: ToReader, now: float) -> None:
        if self._call is not None and self._call.payment_id == frame.payment_id:
            self._call.clocks[Clock.PATIENCE] = now + max(
                frame.seconds_left + self._patience.margin, self._patience.issuer
            )
            self._peer_event(MESSAGE_EVENTS[frame.kind], frame, now)
        elif frame.payment_id in self._past:
            self._do(*self._past.to_reader(frame))
            self._next(now)
        else:
            self._do(Disregard(frame.kind.name, "no such payment"))

    def _issuer_forgot(self, now: float) -> None:
        for request in self._waiting.all():
            self._do(Finish(Ending(request, End.NOT_SETTLED, NotSettled.ISSUER_RESTARTED)))
        if self._call is not None:
            self._peer_event(Event.ISSUER_FORGOT, None, now)
        self._do(*self._past.questions(but=self._current_id()))

    # One step of the table

    def _is_current(self, payment_id: PaymentId) -> bool:
        return self._call is not None and self._call.payment_id == payment_id

    def _current_id(self) -> PaymentId | None:
        return None if self._call is None else self._call.payment_id

    def _is_past(self, payment_id: PaymentId) -> bool:
        """Whether it is over here, and something of it is still to be done."""
        return payment_id in self._past and not self._is_current(payment_id)

    def _if_current(self, payment_id: PaymentId, event: Event, passing: Passing, now: float) -> None:
        if self._is_current(payment_id):
            self._peer_event(event, passing, now)
        else:
            self._do(Disregard(event.name, "no such payment"))

    def _peer_event(self, event: Event, passing: Passing, now: float) -> None:
        """An event that others cause: out of place, it changes nothing and is reported."""
        assert self._call is not None
        if RELAY.allows(self._call.state, event):
            self._happen(event, passing, now)
        else:
            self._do(Disregard(event.name, self._call.state.name))

    def _happen(self, event: Event, passing: Passing, now: float) -> None:
        call = self._call
        assert call is not None
        move = RELAY.step(call.state, event)
        call.state = move.to
        for effect in move.effects:
            self._perform(effect, call, passing, now)
        if call.state is State.ENDED:
            self._call = None
            self._next(now)

    def _perform(self, effect: Effect, call: Call, passing: Passing, now: float) -> None:
        match effect, passing:
            case Effect.LOOK_FOR_READER, _:
                self._do(ConnectReader())
            case Effect.LEAVE_READER, _:
                self._reader = None
                self._do(ReleaseReader())
            case Effect.KEEP_HELLO, Session():
                self._reader, call.reader_id = passing, passing.reader_id
            case Effect.FORWARD_TO_READER, ToReader(kind=kind, data=data):
                self._do(SendToReader(call.payment_id, kind, data))
            case Effect.FORWARD_TO_ISSUER, FromReader():
                self._to_issuer(passing, call, now)
            case Effect.REMEMBER_OFFER, _:
                assert self._reader is not None
                self._do(self._owed.offered(call.payment_id, self._reader.reader_id))
                if call.request is not None:
                    self._do(Record(Ending(call.request, End.UNKNOWN)))
            case Effect.KEEP_OUTCOME, ToReader(data=data):
                self._do(self._owed.learned(call.payment_id, data))
            case Effect.DELIVER_OUTCOME, _:
                self._deliver(call)
            case Effect.FORGET_OUTCOME, _:
                self._do(self._owed.delivered(call.payment_id))
                self._do(Tell(Notice(NoticeKind.OUTCOME_DELIVERED)))
            case _ if (frame := frame_of(effect, call, self._reader)) is not None:
                self._to_issuer(frame, call, now)
            case _ if (wait := self._patience.wait_of(effect)) is not None:
                clock, seconds = wait
                call.clocks[clock] = now + seconds
            case _ if (shown := told_of(effect, call)) is not None:
                self._do(Tell(shown))
            case _ if call.request is not None:
                ending = ending_of(effect, call, call.request, passing)
                self._do(*self._past.ended(ending, by_us=effect in OUR_OWN_WORD))

    def _deliver(self, call: Call) -> None:
        data = self._owed.data(call.payment_id)
        if data is None:
            raise LocalProtocolError("handset relay: no outcome to deliver")
        if self._reader is None:
            self._do(ConnectReader())
        elif self._can_deliver(call):
            self._do(SendToReader(call.payment_id, MessageType.OUTCOME, data))

    def _can_deliver(self, call: Call) -> bool:
        return self._reader is not None and self._owed.is_for(call.payment_id, self._reader.reader_id)

    def _to_issuer(self, frame: PhoneFrame, call: Call, now: float) -> None:
        call.clocks[Clock.PATIENCE] = now + self._patience.issuer
        self._do(SendToIssuer(frame))

    def _do(self, *effects: RelayEffect) -> None:
        self._effects += effects

    def _drain(self) -> list[RelayEffect]:
        effects, self._effects = self._effects, []
        return effects
