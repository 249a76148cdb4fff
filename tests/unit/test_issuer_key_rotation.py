"""Keys are replaced while a real server takes payments: none fails, and the old keys can go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer_server.card_checks import find_card
from issuer_server.enrolments import secret_digest
from issuer_server.key_custody import key_ring
from issuer_server.key_custody.key_store import KeyPurpose
from issuer_server.storage.key_records import KeyInUse
from issuer_server.storage.records import CardRecord, NewEnrolmentCode
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import Digest, ReaderId
from protocol.messages import Outcome
from protocol.signing import open_message
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import NOON, Reader, add_card, b64, unb64
from tests.unit.issuer_house import House, SocketPhone, house
from tests.unit.issuer_key_desk import KeyDesk, key_desk

P = KeyPurpose


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def desk(home: House, tmp_path: Path) -> AsyncIterator[KeyDesk]:
    async with key_desk(tmp_path) as made:
        yield made


async def enrolled_anew(home: House, desk: KeyDesk) -> Reader:
    """A reader whose code carries the signing key of now."""
    ring = await desk.ring()
    reader, secret = Reader(ring.signing.public_key), os.urandom(16)
    await desk.storage.add_enrolment_code(
        NewEnrolmentCode(
            secret_digest(secret), EnrolmentKind.READER, home.cardholder, NOON + 60, ring.active(P.SIGNING)
        )
    )
    await home.issuer.storage.redeem_reader_code(
        secret_digest(secret), ReaderId(reader.key.key_id), reader.key.public_key, "test reader", NOON
    )
    return reader


async def pays(home: House, phone: SocketPhone, reader: Reader, **how: str) -> str:
    """A whole payment; how it ended, which the reader has on the signature it trusts."""
    payment_id = await home.charge()
    result = await phone.pay(reader, payment_id, **how)
    outcome = reader.read_outcome(unb64((await phone.heard("outcome", payment_id))["data"]))
    assert outcome.reason == result["reason"]
    return result["reason"] or result["outcome"]


async def test_every_key_is_rotated_between_any_two_steps_of_a_payment(home: House, desk: KeyDesk) -> None:
    reader = home.reader
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)
        await desk.rotate()
        await phone.say("approve", payment_id, reader_hello=b64(reader.hello()))
        reader.take_offer(unb64((await phone.heard("key_offer", payment_id))["data"]))
        await desk.rotate()
        await phone.say("from_reader", payment_id, kind="card_envelope", data=b64(reader.swipe()))
        request = unb64((await phone.heard("pin_request", payment_id))["data"])
        await desk.rotate()
        await home.issuer.keys.refresh()
        await phone.say("from_reader", payment_id, kind="pin_envelope", data=b64(reader.type_pin(request)))
        assert (await phone.heard("result", payment_id))["outcome"] == "completed"
        signed = unb64((await phone.heard("outcome", payment_id))["data"])
        assert open_message(home.keys.signing.public_key, signed, Outcome).reason is None
        assert await pays(home, phone, reader) == "completed"
        assert [await desk.uses(P.PAN_INDEX, version) for version in (1, 2, 3, 4)] == [0, 0, 0, 1]
        assert [await desk.uses(P.PIN_PEPPER, version) for version in (1, 2, 3, 4)] == [0, 0, 0, 1]


async def test_a_server_takes_up_a_rotation_that_nothing_reminds_it_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(key_ring, "LOOK_EVERY", 0.01)
    async with house(tmp_path) as home, key_desk(tmp_path) as desk:
        await desk.rotate(P.PIN_PEPPER)
        await eventually(lambda: home.issuer.keys.active(P.PIN_PEPPER) == 2)
        secret = (tmp_path / "keys" / "pin-pepper.2.key").read_bytes()
        assert "keys in use: signing 1, pan-index 1, pin-pepper 2, webhook-seal 1" in caplog.text
        assert secret.hex() not in caplog.text


async def test_a_rotation_whose_key_cannot_be_read_leaves_the_server_as_it_was_and_says_so_once(
    home: House, desk: KeyDesk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.rotate(P.PIN_PEPPER)
    (tmp_path / "keys" / "pin-pepper.2.key").chmod(0o640)
    for _ in range(3):
        await home.issuer.keys.refresh()
        assert home.issuer.keys.cards.pin_key == 1
    assert caplog.text.count("cannot be taken up") == 1
    assert f"chmod 600 {tmp_path / 'keys' / 'pin-pepper.2.key'}" in caplog.text
    async with home.phone() as phone:
        assert await pays(home, phone, home.reader) == "completed"
    (tmp_path / "keys" / "pin-pepper.2.key").chmod(0o600)
    await home.issuer.keys.refresh()
    assert home.issuer.keys.cards.pin_key == 2


async def test_payments_go_on_while_keys_are_rotated_and_retired(home: House, desk: KeyDesk) -> None:
    async with home.phone() as phone:
        ends: list[str] = []

        async def paying() -> None:
            for _ in range(6):
                ends.append(await pays(home, phone, home.reader))

        payments = asyncio.ensure_future(paying())
        version, rotations = 1, 0
        while not payments.done():
            await desk.rotate(P.PAN_INDEX, P.PIN_PEPPER, P.SIGNING)
            rotations += 1
            for purpose in (P.PAN_INDEX, P.PIN_PEPPER):
                try:
                    await desk.retire(purpose, version)
                except KeyInUse:
                    pass  # not swiped since
            version += 1
        await payments
        assert ends == ["completed"] * 6
        assert rotations >= 2


async def test_a_reader_is_moved_by_enrolling_it_again_and_the_old_key_goes(
    home: House, desk: KeyDesk
) -> None:
    old = home.reader
    async with home.phone() as phone:
        await desk.rotate(P.SIGNING)
        new = await enrolled_anew(home, desk)
        assert new.issuer_key != old.issuer_key
        assert [await pays(home, phone, each) for each in (old, new, old)] == ["completed"] * 3
        with pytest.raises(KeyInUse, match="enrol --replace") as refusal:
            await desk.retire(P.SIGNING)
        assert old.id.hex()[:4] in str(refusal.value)
        await desk.storage.set_reader_blocked(old.id, True)
        assert await desk.retire(P.SIGNING) == 0
        assert "signing.seed" not in desk.files()
        await home.issuer.keys.refresh()
        assert await pays(home, phone, new) == "completed"
        await desk.storage.set_reader_blocked(old.id, False)
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)
        await phone.say("approve", payment_id, reader_hello=b64(old.hello()))
        assert (await phone.heard("result", payment_id))["reason"] == "reader_blocked"


async def test_the_outcome_of_before_a_rotation_is_signed_again_with_the_key_of_then(
    home: House, desk: KeyDesk
) -> None:
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.pay(home.reader, payment_id)
        first = await phone.heard("outcome", payment_id)
        await desk.rotate(P.SIGNING)
        await phone.say("outcome_wanted", payment_id)
        assert (await phone.heard("outcome", payment_id))["data"] == first["data"]
        await desk.retire(P.SIGNING, abandon=True)
        await home.issuer.keys.refresh()
        await phone.say("outcome_wanted", payment_id)
        over = await phone.heard("payment_over", payment_id)
        assert over["reason"] == "completed"


async def test_such_a_card_is_found_also_where_another_swipe_takes_the_key_up_at_the_same_moment(
    home: House, desk: KeyDesk
) -> None:
    keys, pan = home.issuer.keys, b"4000009876543210"
    await desk.rotate(P.PAN_INDEX)
    await add_card(desk.storage, (await desk.ring()).cards, home.cardholder, pan.decode())

    class Beside:
        async def card_by_index(self, pan_index: Digest) -> CardRecord | None:
            found = await home.issuer.storage.card_by_index(pan_index)
            await keys.refresh()  # of the other swipe: ours will find nothing new
            return found

    assert await find_card(Beside(), keys, pan) is not None


async def test_a_card_added_with_a_key_that_the_server_has_not_heard_of_pays(
    home: House, desk: KeyDesk
) -> None:
    await desk.rotate(P.PAN_INDEX, P.PIN_PEPPER)
    cards = (await desk.ring()).cards
    assert home.issuer.keys.active(P.PAN_INDEX) == 1, "it has had no reason to look"
    await add_card(desk.storage, cards, home.cardholder, "4000009876543210", pin="4321")
    async with home.phone() as phone:
        payment_id = await home.charge()
        await phone.heard("payment_request", payment_id)
        await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
        home.reader.take_offer(unb64((await phone.heard("key_offer", payment_id))["data"]))
        swiped = b64(home.reader.swipe("4000009876543210"))
        await phone.say("from_reader", payment_id, kind="card_envelope", data=swiped)
        request = unb64((await phone.heard("pin_request", payment_id))["data"])
        typed = b64(home.reader.type_pin(request, "4321"))
        await phone.say("from_reader", payment_id, kind="pin_envelope", data=typed)
        assert (await phone.heard("result", payment_id))["outcome"] == "completed"


async def test_a_wrong_pin_moves_no_verifier(home: House, desk: KeyDesk) -> None:
    await desk.rotate(P.PIN_PEPPER)
    async with home.phone() as phone:
        await home.issuer.keys.refresh()
        assert await pays(home, phone, home.reader, pin="9999") == "wrong_pin"
        assert await desk.uses(P.PIN_PEPPER, 1) == 1
        assert await pays(home, phone, home.reader) == "completed"
    assert await desk.uses(P.PIN_PEPPER, 1) == 0


async def ends_at_the_card(home: House, phone: SocketPhone) -> str:
    """Why a payment ends once its card is at the issuer."""
    payment_id = await home.charge()
    await phone.heard("payment_request", payment_id)
    await phone.say("approve", payment_id, reader_hello=b64(home.reader.hello()))
    home.reader.take_offer(unb64((await phone.heard("key_offer", payment_id))["data"]))
    await phone.say("from_reader", payment_id, kind="card_envelope", data=b64(home.reader.swipe()))
    return str((await phone.heard("result", payment_id))["reason"])


async def test_an_abandoned_pepper_takes_no_try_and_a_reset_pin_helps(home: House, desk: KeyDesk) -> None:
    await desk.rotate(P.PIN_PEPPER)
    with pytest.raises(KeyInUse, match="reset-pin"):
        await desk.retire(P.PIN_PEPPER)
    assert await desk.retire(P.PIN_PEPPER, abandon=True) == 1
    await home.issuer.keys.refresh()
    async with home.phone() as phone:
        assert await ends_at_the_card(home, phone) == "pin_blocked"
        (card,) = await desk.storage.cards()
        assert card.pin_tries_left == 3


async def test_an_abandoned_index_makes_its_cards_unknown(home: House, desk: KeyDesk) -> None:
    await desk.rotate(P.PAN_INDEX)
    with pytest.raises(KeyInUse, match="card reindex"):
        await desk.retire(P.PAN_INDEX)
    assert await desk.retire(P.PAN_INDEX, abandon=True) == 1
    await home.issuer.keys.refresh()
    async with home.phone() as phone:
        assert await ends_at_the_card(home, phone) == "unknown_card"
