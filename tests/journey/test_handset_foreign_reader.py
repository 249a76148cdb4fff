"""A reader of another issuer near the phone: what the person sees, and what helps."""

from __future__ import annotations

from pathlib import Path

from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.commands.readers import ReaderBook
from handset_client.effects import End, Finish
from handset_client.ports import ReaderChoice, ReaderReady
from handset_client.wording import Language, ending_text
from protocol.identifiers import ReaderId, reader_id_text
from protocol.messages import NotSettled
from reader_peripheral import screens
from tests.journey.foreign_reader import reader_of_another_issuer
from tests.journey.parties import parties


async def test_the_person_sees_which_reader_it_is_and_what_to_do(tmp_path: Path) -> None:
    async with parties(tmp_path) as world:
        foreign = await reader_of_another_issuer(world, tmp_path)
        await world.reader.service.stop()
        await foreign.service.start()
        payment = await world.pay()
        assert (payment.status, payment.reason) == ("not_settled", NotSettled.READER_UNKNOWN)
        ending = await world.person.phone.endings.until(lambda _: True)
        assert (ending.end, ending.reader_id) == (End.NOT_SETTLED, foreign.id)
        for language in Language:
            happened, next_step = ending_text(ending, language)
            assert reader_id_text(foreign.id) in happened
            assert "--reader" in next_step
        # That reader was shown nothing of the payment: its issuer has not signed anything.
        assert not world.person.display.shown.all(lambda screen: isinstance(screen, screens.Offer))

        await foreign.service.stop()
        await world.reader.service.start()
        assert (await world.pay()).completed
        past = await HistoryFile(tmp_path / "handset").past_payments()
        kept = {each.ending.end: each.ending for each in past}
        assert ending_text(kept[End.NOT_SETTLED]) == ending_text(ending)

        # And the phone does not take it for the one that is used here: nearest to hand is the own one again.
        store = PreferencesFile(tmp_path / "handset")
        book = ReaderBook(store, None)
        book.watch(ReaderReady(world.reader.id, b"hello"))
        book.watch(ReaderReady(foreign.id, b"hello"))
        assert book.choose() == ReaderChoice(None, foreign.id)
        book.watch(Finish(ending))
        assert book.choose() == ReaderChoice(None, world.reader.id)
        assert store.load().readers == (foreign.id, world.reader.id)


def test_a_lone_reader_that_was_wrong_is_not_the_one_used_last(tmp_path: Path) -> None:
    store = PreferencesFile(tmp_path)
    reader = ReaderId(bytes(8))
    store.save(store.load().saw(reader))
    assert store.load().was_wrong(reader).readers == ()
    assert store.load().was_wrong(ReaderId(b"\x01" * 8)).readers == (reader,)
