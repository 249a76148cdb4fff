"""Plays one scenario with all four parties and tells it."""

from __future__ import annotations

import asyncio
import math
import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo import cast, findings
from demo.forgery import Attacker
from demo.happenings import Event, Happening, Narrator, Party
from demo.hostile import ReplayingMalware, TamperingMalware
from demo.people import Person, ScriptedPerson
from demo.scenarios import Phone, Scenario, Trouble, Waits
from demo.story import Story
from demo.taps import LogTap
from demo.world import CONNECTION_INTERVAL, World, world
from issuer_server.payment import Deadlines
from merchant_terminal.payment import Charge, Payment
from protocol.messages import MessageType
from protocol.money import Money, currency
from protocol.sealing import SEED_SIZE as PAYMENT_SEED_SIZE
from protocol.signing import SEED_SIZE as SIGNING_SEED_SIZE
from virtual_radio.conditions import RadioConditions

SHORTEST_WAIT: Final = 2.0
"""Seconds: a deadline that a scenario waits for still leaves the machines time at pace 0."""
AFTERMATH: Final = 2.5
"""Seconds for phone and reader to show the end, once the merchant knows it."""
TUNNEL_AFTER: Final = 1.0
"""Seconds at pace 1 that the phone rings before the train is in the tunnel."""
CUT_AFTER: Final = 1.5
"""Connection intervals into a message of some three connection events."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to play."""

    pace: float = 1.0
    capture: Path | None = None
    person: Callable[[Story], Person] | None = None
    """Somebody real in place of the script (--interactive)."""
    weather: RadioConditions = field(
        default_factory=lambda: RadioConditions(connection_interval=CONNECTION_INTERVAL)
    )


@dataclass(frozen=True, slots=True)
class Played:
    """How it ended and whether it should have."""

    outcome: str
    reason: str | None
    as_expected: bool


async def play(scenario: Scenario, narrator: Narrator, options: Options) -> Played:
    """Set up, play, tell. Raises what a party raises when it fails."""
    story = Story(narrator)
    narrator.tell(Happening(Event.STORY, f"Blind Relay: {scenario.summary}", facts=_about(scenario)))
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="blind-relay-demo-")))
        closing.enter_context(LogTap("issuer_server", story.issuer_logged))
        closing.enter_context(LogTap("reader_peripheral", story.reader_logged))
        closing.enter_context(LogTap("handset_client", lambda record: None))
        closing.enter_context(LogTap("virtual_radio", lambda record: None))
        scripted = ScriptedPerson(scenario, options.pace, story.person)
        person = options.person(story) if options.person else scripted
        capture = options.capture or folder / "radio.btsnoop"
        narrator.tell(Happening(Event.PAYMENT, "Set-up"))
        deadlines = _deadlines(scenario.waits, options.pace)
        async with world(folder, capture, scenario, deadlines, person, story, options.weather) as everything:
            await narrator.caught_up()
            before = await findings.balances(everything)
            payments = await _payments(scenario, everything, story, scripted, options.pace)
            after = await findings.balances(everything)
            for told in (
                findings.learned(everything, story, payments),
                findings.ledger(everything, story, before, after),
                findings.radio(everything, story),
            ):
                narrator.tell(told)
        last = payments[-1]
        moved = after != before
        played = Played(
            last.status,
            last.reason,
            options.person is not None or (_as_expected(scenario, payments, moved) and _all_refused(story)),
        )
        narrator.tell(_finished(scenario, played, story, options))
    return played


def _about(scenario: Scenario) -> dict[str, str]:
    return {"scenario": scenario.name, "story": scenario.story}


def _deadlines(waits: Waits, pace: float) -> Deadlines:
    """Deadlines that a scenario waits for follow the pace. Whole seconds, as the key offer carries them."""

    def scaled(seconds: float) -> float:
        return seconds if seconds >= Waits().card else float(math.ceil(max(SHORTEST_WAIT, seconds * pace)))

    return Deadlines(approval=scaled(waits.approval), card=scaled(waits.card), pin=scaled(waits.pin))


async def _payments(
    scenario: Scenario, everything: World, story: Story, person: ScriptedPerson, pace: float
) -> list[Payment]:
    """The scenario's payments, one after the other."""
    _make_trouble(scenario, everything, story, pace)
    match scenario.phone:
        case Phone.TAMPERING:
            attacker = Attacker.from_seeds(
                secrets.token_bytes(SIGNING_SEED_SIZE), secrets.token_bytes(PAYMENT_SEED_SIZE)
            )
            malware = TamperingMalware(story, attacker, everything.issuer_keys.signing.public_key)
            malware.infect(everything.reader_link, everything.issuer_link)
        case Phone.REPLAYING:
            recorder = ReplayingMalware(story)
            recorder.infect(everything.reader_link, everything.issuer_link)
            first = await _pay(everything, story, "The first payment, recorded by the phone")
            await _until(everything.reader_link.released, AFTERMATH)
            recorder.replay_from_now_on()
            # Hanako is elsewhere: her phone lies on the counter with her reader beside it.
            person.card = None
            person.approved_by_itself = lambda: story.attack("approves by itself", Party.PHONE, size=0)
            return [first, await _pay(everything, story, "The second payment, without Hanako")]
        case Phone.HONEST:
            pass
    return [await _pay(everything, story, "The payment")]


def _make_trouble(scenario: Scenario, everything: World, story: Story, pace: float) -> None:
    match scenario.trouble:
        case Trouble.READER_LOST_AFTER_SWIPE:
            loop = asyncio.get_running_loop()

            def cut() -> None:
                story.tell(Event.LINK, "the radio link breaks in the middle of that message", Party.RADIO)
                everything.ether.cut()

            def after_sending(kind: MessageType) -> None:
                if kind is MessageType.CARD_ENVELOPE:
                    loop.call_later(CUT_AFTER * everything.ether.conditions.connection_interval, cut)

            story.on_reader_sent = after_sending
        case Trouble.PHONE_OFFLINE_AFTER_CALL:

            def after_call() -> None:
                story.tell(Event.LINK, "loses the network: the train is in a tunnel", Party.PHONE)
                story.network_is_up = False
                everything.network.lose_coverage()

            story.on_called = lambda: asyncio.get_running_loop().call_later(TUNNEL_AFTER * pace, after_call)
        case Trouble.NONE:
            pass


async def _pay(everything: World, story: Story, title: str) -> Payment:
    """S1 to S25 as the merchant lives it, then a moment for phone and reader to show the end."""
    story.begin(title)
    charge = Charge(cast.PHONE, Money(cast.PRICE, currency(cast.CURRENCY)), cast.ORDER)
    story.merchant_asks(charge)
    payment = await everything.merchant.create_payment(charge, secrets.token_hex(16))
    while not payment.over:
        payment = await everything.merchant.payment(payment.id, wait=20)
    story.merchant_told(payment)
    marks = story.marks
    await _until(marks.phone_finished, AFTERMATH)
    if marks.reader_engaged:
        await _until(marks.reader_finished, AFTERMATH)
    story.receipt(payment)
    return payment


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Wait for it, but no longer: who is not told by design (S9) shows nothing."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _as_expected(scenario: Scenario, payments: list[Payment], moved: bool) -> bool:
    """The outcome, its reason, and that money moved exactly where it should."""
    last = payments[-1]
    reason = scenario.reason.value if scenario.reason else None
    paid = any(payment.completed for payment in payments)
    first_ones_paid = all(payment.completed for payment in payments[:-1])
    return last.status == scenario.outcome and last.reason == reason and moved == paid and first_ones_paid


def _all_refused(story: Story) -> bool:
    """Each attack met its own refusal, and nothing honest was refused."""
    return story.attacks == story.refusals


def _finished(scenario: Scenario, played: Played, story: Story, options: Options) -> Happening:
    ended = "Completed" if played.reason is None else f"Not settled ({played.reason.replace('_', ' ')})"
    people = min(story.people_seconds, story.ended_at)
    took = f"{story.ended_at:.1f} s after the shop asked"
    if played.reason is None:
        took += f": {people:.1f} s for the person, {story.ended_at - people:.1f} s for the machines"
    if story.attacks:
        took += f". {story.attacks} attacks, {story.refusals} refused"
    if options.person is not None:
        verdict = ""
    elif played.as_expected:
        verdict = "\nThat is how this scenario should end."
    else:
        verdict = f"\nTHIS IS WRONG: it should have ended {scenario.outcome} ({scenario.reason or 'paid'})."
    facts = {
        "outcome": played.outcome,
        "reason": played.reason,
        "scenario": scenario.name,
        "as_expected": played.as_expected,
        "payment_seconds": round(story.ended_at, 4),
        "people_seconds": round(people, 4),
        "attacks": story.attacks,
        "refusals": story.refusals,
    }
    return Happening(Event.FINISHED, f"{ended} {took}.{verdict}", story.now(), facts=facts)
