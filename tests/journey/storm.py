"""Payments in bad weather: one issuer, many cardholders side by side, and what must hold for each payment."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from handset_client.adapters.bleak_link import Backends
from handset_client.adapters.enrolment_http import enrol as enrol_handset
from handset_client.adapters.history_file import HistoryFile
from handset_client.adapters.link_session import LinkSettings
from handset_client.effects import End, Notice
from handset_client.ports import Credential
from handset_client.relay_call import Patience
from issuer_server import administration
from issuer_server.ledger import check_trial_balance
from issuer_server.payment import Deadlines
from issuer_server.seed import SampleCard
from merchant_terminal.issuer_api import ApiKey, IssuerApi
from merchant_terminal.payment import Charge, Payment
from protocol import gatt
from protocol.enrolment import EnrolmentKind
from protocol.identifiers import CardholderId, PhoneNumber, ReaderId
from protocol.messages import PROTOCOL_VERSION, NotSettled
from protocol.money import Money
from protocol.signing import SigningKey
from reader_peripheral import screens
from reader_peripheral.adapters.bless_link import BlessLink
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.adapters.simulated_radio import VirtualRadio
from reader_peripheral.enrolment import enrol as enrol_reader
from reader_peripheral.enrolment import prepare
from reader_peripheral.ports import PinnedIssuer
from reader_peripheral.settings import FIRMWARE, MODEL_CODE, Limits
from tests.journey.bad_network import Air, Wire
from tests.journey.parties import JPY, Issuer, Phone, Reader, Times
from tests.journey.person import Person
from tests.journey.weather import MTUS, SWEPT_FROM, Length, Mood, Weather
from virtual_radio.bleak_backend import backends
from virtual_radio.ether import Ether

PIN, WRONG_PIN = "2468", "1357"
FUNDS = 10**9
HUNG = 50.0
"""Seconds by which the longest chain of deadlines below is over, and then some."""

TOO_LATE = {
    NotSettled.READER_UNAVAILABLE,
    NotSettled.HANDSET_UNREACHABLE,
    NotSettled.APPROVAL_TIMEOUT,
    NotSettled.CARD_TIMEOUT,
    NotSettled.PIN_TIMEOUT,
}

TIMES = Times(
    issuer=Deadlines(call=4.0, approval=8.0, card=8.0, pin=8.0),
    reader=Limits(pin_seconds=5.0, answer_seconds=5.0, result_seconds=0.2, resume_seconds=4.0),
    phone=Patience(reader=6.0, delivery=3.0, last_word=2.0, issuer=10.0, margin=1.0, farewell=0.5),
    link=LinkSettings(
        scan=1.0,
        gather=0.1,
        connect=2.0,
        step=3.0,
        resume_window=3.5,
        size_wait=0.1,
        hang_up=0.5,
        pauses=(0.02, 0.1, 0.3),
    ),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one payment in its weather, and everything that should not have been."""

    weather: Weather
    outcome: str
    phone_said: str
    seconds: float
    values: int
    frames: int
    cuts: int
    """Those that were made; a payment that ends early meets no further ones."""
    faults: tuple[str, ...]


class Lane:
    """One cardholder with card, reader and phone; one payment at a time."""

    def __init__(
        self,
        issuer: Issuer,
        merchant: IssuerApi,
        folder: Path,
        owner: tuple[CardholderId, PhoneNumber, SampleCard],
        reader: tuple[ReaderId, FileKeyStore, PinnedIssuer],
        credential: Credential,
    ) -> None:
        self._issuer = issuer
        self._merchant = merchant
        self._folder = folder
        self._cardholder, self._number, self._card = owner
        self._reader_id, self._keys, self._pinned = reader
        self._credential = credential

    async def pay_in(self, weather: Weather) -> Report:
        """One payment in this weather, then one in fair weather; both are judged."""
        began, faults = time.monotonic(), []
        person = Person(
            approves=None if weather.mood is Mood.IGNORES else weather.mood is not Mood.DECLINES,
            card=self._card,
            pin=WRONG_PIN if weather.mood is Mood.MISTYPES else PIN,
        )
        async with AsyncExitStack() as stack:
            ether = await stack.enter_async_context(Ether(weather.radio))
            air = Air(ether, weather)
            reader = self._reader(
                BlessLink(VirtualRadio(await ether.add_device("reader")), self._info()), person
            )
            await reader.service.start()
            stack.push_async_callback(reader.service.stop)
            wire = Wire(self._issuer.url)
            await wire.start()
            stack.push_async_callback(wire.stop)
            scanner, client = backends(await ether.add_device("phone"), mtu=weather.mtu)
            history = self._folder / f"handset-{secrets.token_hex(4)}"
            credential = replace(self._credential, issuer_url=wire.url)
            phones: list[Phone] = []

            async def start_phone() -> None:
                phones.append(Phone(credential, Backends(scanner, client), person, history, TIMES))
                await phones[-1].start()

            async def stop_phone() -> None:
                await phones[-1].stop()

            await start_phone()
            stack.push_async_callback(stop_phone)
            before = await self._balance()
            wire.weather = weather
            restart = self._restart_when_told(weather, wire, ether, phones, start_phone)
            try:
                payment = await self._pay(person, f"storm {weather.seed}", weather.thinks)
                ending = await self._phone_ended(person, payment)
                outcome, values, frames = payment.reason or payment.status, air.values, wire.frames
                faults += self._judge(weather, payment, ending, person)
                seconds = time.monotonic() - began

                air.clear_up()
                wire.clear_up()
                await asyncio.gather(*restart)
                person.approves, person.pin, heard_before = True, PIN, len(person.phone.told)
                again = await self._pay(person, f"after storm {weather.seed}", 0.0)
                if again.reason in TOO_LATE:
                    # On a machine too busy for the short patience of TIMES; what hangs fails once more.
                    await self._phone_ended(person, again)
                    again = await self._pay(person, f"once more after storm {weather.seed}", 0.0)
                if not again.completed:
                    told = "; ".join(
                        f"{one.kind.name} {one.detail}" if isinstance(one, Notice) else one.step.name
                        for one in person.phone.told.entries[heard_before:]
                    )
                    told += f"; {air.describe()}"
                    faults.append(f"a payment in fair weather after it ended as {again.reason} ({told})")
                ended_again = await self._phone_ended(person, again)
                if ended_again is not None and ended_again is not End.COMPLETED:
                    faults.append(f"the phone said {ended_again} of the payment after it")
                if again.completed and await self._still_owed(history):
                    faults.append("an outcome stayed with the phone though the reader was there")
                spent = before - await self._balance()
                due = 700 * payment.completed + 700 * again.completed
                if spent != due:
                    faults.append(f"{spent} left the account where {due} should have")
            except (TimeoutError, AssertionError) as error:
                outcome, ending, seconds = "HUNG", None, time.monotonic() - began
                values, frames = air.values, wire.frames
                faults.append(f"it hung: {error}")
            if phones[-1]._task is not None and phones[-1]._task.done():
                faults.append(f"the phone's program ended: {phones[-1]._task}")
        cuts = air.cuts_made + wire.cuts_made
        if weather.seed >= SWEPT_FROM and not cuts:
            faults.append("its cut was not made: nothing passed at that place")
        stalled = sum(late for at, late in stalls if at > began)
        if faults and stalled:
            faults.append(f"and the machine gave this process no turn for {stalled:.1f} s of it")
        said = "nothing" if ending is None else str(ending)
        return Report(weather, outcome, said, seconds, values, frames, cuts, tuple(faults))

    def _reader(self, link: BlessLink, person: Person) -> Reader:
        seed = self._keys.seed()
        assert seed is not None
        return Reader(SigningKey.from_seed(seed), self._pinned, link, person, TIMES.reader)

    def _info(self) -> gatt.ReaderInfo:
        return gatt.ReaderInfo((PROTOCOL_VERSION,), self._reader_id, MODEL_CODE, FIRMWARE)

    def _restart_when_told(
        self, weather: Weather, wire: Wire, ether: Ether, phones: list[Phone], start: object
    ) -> list[asyncio.Task[None]]:
        """Kill the phone's program at its frame: nothing it says at its end gets anywhere."""
        tasks: list[asyncio.Task[None]] = []

        async def die() -> None:
            wire.cut(away=3600)
            ether.part()
            await phones[-1].stop()
            ether.meet()
            wire._away_until = 0.0
            await start()  # type: ignore[operator]

        def on_frame(number: int) -> None:
            if number == weather.program_dies_at and not tasks:
                tasks.append(asyncio.create_task(die()))

        wire.on_frame = on_frame
        return tasks

    async def _pay(self, person: Person, order: str, thinks: float) -> Payment:
        if thinks and person.approves is not None:
            answer, person.approves = person.approves, None
            loop = asyncio.get_running_loop()

            def decide() -> None:
                request = person.phone.asked.entries[-1] if person.phone.asked.entries else None
                if request is not None and request.order == order:
                    person.phone.press(request, answer)
                elif loop.time() < until:
                    loop.call_later(thinks, decide)

            until = loop.time() + 5
            loop.call_later(thinks, decide)
        charge = Charge(self._number, Money(700, JPY), order)
        payment = await self._merchant.create_payment(charge, secrets.token_hex(16))
        async with asyncio.timeout(HUNG):
            while not payment.over:
                payment = await self._merchant.payment(payment.id, wait=10)
        return payment

    async def _phone_ended(self, person: Person, payment: Payment) -> End | None:
        """What the phone said at the end; None where it was never called, or its program died meanwhile."""
        if not person.phone.asked.all(lambda request: request.payment_id == payment.id):
            return None
        ending = await person.phone.endings.until(
            lambda end: end.request.payment_id == payment.id, patience=HUNG
        )
        return ending.end

    async def _still_owed(self, history: Path) -> bool:
        """Whether a reader is still owed an outcome when there was time to bring it."""
        until = time.monotonic() + 2 * TIMES.phone.delivery
        while any(owed.data for owed in await HistoryFile(history).kept_outcomes(time.time())):
            if time.monotonic() > until:
                return True
            await asyncio.sleep(0.05)
        return False

    def _judge(self, weather: Weather, payment: Payment, ending: End | None, person: Person) -> Iterable[str]:
        if not payment.completed and payment.reason not in set(NotSettled):
            yield f"it ended for a reason that nobody knows: {payment.reason}"
        if payment.reason in (
            NotSettled.INTERNAL_ERROR,
            NotSettled.ENVELOPE_INVALID,
            NotSettled.RESEAL_MISMATCH,
        ):
            yield f"bad weather is no reason for {payment.reason}"
        if payment.completed and weather.mood is not Mood.PAYS:
            yield f"the person {weather.mood.value}, and paid"
        if ending is End.COMPLETED and not payment.completed:
            yield "the phone said that it was paid, and it was not"
        if ending is End.NOT_SETTLED and payment.completed:
            yield "the phone said that it was not paid, and it was"
        if weather.seed >= SWEPT_FROM and not payment.completed:
            yield f"one short cut, which both links outlive, ended it as {payment.reason}"
        for shown in person.display.shown.entries:
            if isinstance(shown, screens.Approved) and not payment.completed:
                yield "the reader showed APPROVED, and it was not paid"
            if isinstance(shown, screens.NotSettled) and payment.completed:
                yield "the reader showed NOT PAID, and it was paid"
        if len(person.display.shown.all(lambda shown: isinstance(shown, screens.Approved))) > 1:
            yield "the reader showed APPROVED twice"

    async def _balance(self) -> int:
        rows = await self._issuer.running.storage.balances()
        check_trial_balance(rows)
        [mine] = [row.minor for row in rows if row.owner == self._cardholder and row.currency == JPY]
        return mine


@asynccontextmanager
async def lanes(folder: Path, count: int) -> AsyncIterator[list[Lane]]:
    """One issuer and `count` cardholders who can pay at the same moment."""
    async with AsyncExitStack() as stack:
        issuer = Issuer(folder / "issuer", TIMES)
        await issuer.start()
        stack.push_async_callback(issuer.stop)
        store, now = issuer.running.storage, time.time()
        shop = await administration.add_merchant(store, "Storm Cafe", secrets.token_bytes, now)
        merchant = await stack.enter_async_context(IssuerApi(issuer.url, ApiKey(shop.api_key)))
        yield [await _lane(issuer, merchant, folder / f"lane-{number}", number) for number in range(count)]


async def _lane(issuer: Issuer, merchant: IssuerApi, folder: Path, number: int) -> Lane:
    store, now = issuer.running.storage, time.time()
    phone = f"+8190{number:08}"
    owner = await administration.add_cardholder(store, f"Lane {number}", phone, secrets.token_bytes, now)
    await store.fund(owner.id, Money(FUNDS, JPY), now)
    card = SampleCard("good", _with_check_digit(f"4000000000{number:05}"), PIN, "4912", "LANE/OF")
    await administration.add_card(
        store,
        issuer.keys.cards,
        owner.id,
        bytearray(card.pan, "ascii"),
        card.expiry,
        bytearray(PIN, "ascii"),
        secrets.token_bytes,
        now,
        pin_tries=9,
    )
    codes = [
        await administration.add_device(store, kind, owner.id, issuer.address(), secrets.token_bytes, now)
        for kind in (EnrolmentKind.READER, EnrolmentKind.HANDSET)
    ]
    keys = FileKeyStore(folder / "reader")
    candidate = prepare(keys, codes[0], secrets.token_bytes, replace=False, unencrypted=False)
    await enrol_reader(keys, candidate)
    pinned = keys.issuer()
    assert pinned is not None
    credential = await enrol_handset(codes[1], None)
    who = (owner.id, credential.phone, card)
    return Lane(issuer, merchant, folder, who, (candidate.reader_id, keys, pinned), credential)


def _with_check_digit(digits: str) -> str:
    """ISO/IEC 7812-1 annex B."""
    doubled = [2 * int(digit) if at % 2 == 0 else int(digit) for at, digit in enumerate(reversed(digits))]
    return digits + str(-sum(each - 9 if each > 9 else each for each in doubled) % 10)


async def weather_through(
    folder: Path, weathers: Iterable[Weather], side_by_side: int
) -> AsyncIterator[Report]:
    """A report for each weather, as they come."""
    async with lanes(folder, side_by_side) as all_lanes:
        watch = asyncio.create_task(_watch_the_clock())
        waiting = iter(weathers)
        reports: asyncio.Queue[Report | None] = asyncio.Queue()

        async def drive(lane: Lane) -> None:
            for weather in waiting:
                reports.put_nowait(await lane.pay_in(weather))

        drivers = [asyncio.create_task(drive(lane)) for lane in all_lanes]
        everybody = asyncio.gather(*drivers)
        everybody.add_done_callback(lambda _: reports.put_nowait(None))
        while (report := await reports.get()) is not None:
            yield report
        watch.cancel()
        await everybody


async def measured(folder: Path, times: int = 3) -> dict[int, Length]:
    """How long a calm payment is at each MTU: the shortest of some, since a stall adds an acknowledgement."""
    calm = [Weather(mtu=mtu) for mtu in MTUS for _ in range(times)]
    reports = [report async for report in weather_through(folder, calm, side_by_side=2)]
    for report in reports:
        assert (report.outcome, report.faults) == ("completed", ()), f"in fair weather: {report}"
    lengths = {mtu: [report for report in reports if report.weather.mtu == mtu] for mtu in MTUS}
    return {
        mtu: Length(min(each.values for each in those), min(each.frames for each in those))
        for mtu, those in lengths.items()
    }


stalls: list[tuple[float, float]] = []
"""When this process got no turn for long, and for how long: the machine's weather, not the network's."""


async def _watch_the_clock() -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.1)
        late = time.monotonic() - before - 0.1
        if late > 0.3:
            stalls.append((before, late))
