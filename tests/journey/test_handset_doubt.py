"""A payment that ends as 'not known yet' on the phone, and is known later: whole parties, real files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from handset_client.adapters.history_file import HistoryFile
from handset_client.effects import SWITCHED_OFF, End
from handset_client.issuer_frames import Result, ToReader
from handset_client.past_payments import PastPayment
from handset_client.ports import IssuerEvent
from handset_client.relay_call import Patience
from protocol.messages import MessageType
from reader_peripheral.screens import Approved
from tests.journey.parties import Times, parties
from tests.journey.person import OWN_CARD, Person

LAST_FOUR = OWN_CARD.pan[-4:]


def no_end(event: IssuerEvent) -> Iterable[IssuerEvent]:
    """A rule for the phone's link: the word of the end gets lost, all else comes through."""
    outcome = isinstance(event, ToReader) and event.kind is MessageType.OUTCOME
    return () if outcome or isinstance(event, Result) else (event,)


async def history(folder: Path) -> list[PastPayment]:
    return await HistoryFile(folder / "handset").past_payments()


async def test_a_phone_that_was_stopped_in_doubt_learns_it_when_it_is_started_again(tmp_path: Path) -> None:
    async with parties(tmp_path, Times(phone=Patience(farewell=0.2))) as world:
        world.phone.issuer_link.incoming = no_end
        payment = await world.pay()
        assert payment.completed
        await world.phone.stop()
        [ending] = world.person.phone.endings.entries
        assert ending.end is End.UNKNOWN
        [in_doubt] = await history(tmp_path)
        assert in_doubt.ending.end is End.UNKNOWN

        again = world.another_phone()
        await again.start()
        learned = await world.person.phone.amended.until(lambda _: True)
        assert (learned.request.payment_id, learned.end, learned.last_four) == (
            payment.id,
            End.COMPLETED,
            LAST_FOUR,
        )
        await again.stop()
        [known] = await history(tmp_path)
        assert (known.ending.end, known.ending.last_four) == (End.COMPLETED, LAST_FOUR)
        assert known.ended_at == in_doubt.ended_at
        assert world.person.phone.endings.entries == [ending]


async def test_a_phone_that_goes_on_learns_it_when_the_issuer_is_back(tmp_path: Path) -> None:
    times = Times(phone=Patience(issuer=0.2, last_word=0.2))
    async with parties(tmp_path, times) as world:
        world.phone.issuer_link.incoming = no_end
        payment = await world.pay()
        assert payment.completed
        ending = await world.person.phone.endings.until(lambda _: True)
        assert ending.end is End.UNKNOWN

        world.phone.issuer_link.incoming = lambda event: (event,)
        await world.issuer.stop()
        await world.issuer.start()
        learned = await world.person.phone.amended.until(lambda _: True)
        assert (learned.request.payment_id, learned.end) == (payment.id, End.COMPLETED)
        # The reader has waited as long, and gets its signed outcome on the same occasion.
        await world.person.display.shown.until(lambda screen: isinstance(screen, Approved))


async def test_a_phone_that_stops_out_of_reach_says_no_for_certain_of_nothing(tmp_path: Path) -> None:
    """Its no does not arrive: the payment is asked again of the next run of the program, and paid."""
    person = Person(approves=None)
    async with parties(tmp_path, Times(phone=Patience(farewell=0.2)), person) as world:
        payment_id = await world.ask()
        await person.phone.asked.until(lambda _: True)
        world.phone.out_of_reach()
        world.cut_network()
        await world.phone.stop()
        [ending] = person.phone.endings.entries
        assert (ending.end, ending.reason) == (End.UNKNOWN, SWITCHED_OFF)

        person.approves = True
        again = world.another_phone()
        await again.start()
        assert (await world.outcome(payment_id)).completed
        paid = await person.phone.endings.until(lambda end: end.end is not End.UNKNOWN)
        assert (paid.end, paid.last_four) == (End.COMPLETED, LAST_FOUR)
        await again.stop()
        assert [past.ending.end for past in await history(tmp_path)] == [End.COMPLETED]
        assert not person.phone.amended.entries
