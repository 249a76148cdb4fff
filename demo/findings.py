"""What each party learned, the ledger and the radio: read from the parties themselves when all is over."""

from __future__ import annotations

from demo import cast
from demo.happenings import Event, Happening, Json, Party
from demo.radio_count import RadioCount, count
from demo.story import Story
from demo.world import World
from issuer_server.ledger import check_trial_balance
from merchant_terminal.payment import Payment
from protocol.identifiers import IssuerId
from protocol.money import Money, currency, format_money

Balances = dict[str, int]


async def balances(world: World) -> Balances:
    """Every account in minor units, by owner; raises LedgerError where the books do not balance."""
    rows = [row for row in await world.issuer.storage.balances() if row.currency.code == cast.CURRENCY]
    check_trial_balance(rows)
    return {row.owner: row.minor for row in rows}


def learned(world: World, story: Story, payments: list[Payment]) -> Happening:
    """The table of who knows what, each row read off what that party had."""
    last = payments[-1]
    digits = f"card ****{last.card_last_four}" if last.card_last_four else "no card digit"
    outcome = "paid" if last.completed else "not paid"
    carried = story.carried
    secrets = [card.pan for card in cast.CARDS.values()]
    leaked = any(map(carried.holds, secrets)) or any(
        carried.holds_in_messages(card.pin) for card in cast.CARDS.values()
    )
    stored = b"".join(path.read_bytes() for path in world.database.parent.glob(world.database.name + "*"))
    kept = any(secret.encode() in stored for secret in secrets)
    found = "FOUND" if leaked else "none (searched)"
    rows: list[Json] = [
        [Party.MERCHANT.value, f"{outcome}; {digits}; the phone number that it was told"],
        [
            Party.PHONE.value,
            f"shop, amount, order, outcome, {digits}. It carried {carried.size:,} bytes"
            f" ({len(carried.envelopes)} sealed envelopes). Card number or PIN in them: {found}",
        ],
        [
            Party.ISSUER.value,
            f"{_issuer_saw(story)}. Card number in its database: {'FOUND' if kept else 'none (searched)'}",
        ],
        [
            Party.READER.value,
            _reader_saw(story),
        ],
    ]
    facts: dict[str, Json] = {"rows": rows, "leaked_to_phone": leaked, "kept_by_issuer": kept}
    return Happening(Event.LEARNED, "What each party learned", story.now(), facts=facts)


def _issuer_saw(story: Story) -> str:
    if "card_opened" not in story.issuer_did:
        return "shop, amount, order, phone number; no card and no PIN"
    pin = ", and whether the PIN is right," if "pin_opened" in story.issuer_did else ""
    return f"the card{pin} until the payment ended{'' if pin else '; no PIN'}"


def _reader_saw(story: Story) -> str:
    if "reader_accepted" not in story.issuer_did:
        return "nothing: the issuer made it no offer"
    match len(set(story.carried.envelopes)):
        case 0:
            sealed = "no card and no PIN"
        case 1:
            sealed = "the card until it was sealed; no PIN"
        case _:
            sealed = "card and PIN until they were sealed"
    return f"{sealed}; shop, amount, order; the issuer's signed word"


def ledger(world: World, story: Story, before: Balances, after: Balances) -> Happening:
    """Balances now and before."""
    names = {
        world.cardholder.id: cast.CARDHOLDER_NAME,
        world.merchant_account.id: cast.MERCHANT_NAME,
        IssuerId("issuer"): "issuer's funds",
    }
    rows: list[Json] = []
    for owner, name in names.items():
        now = after.get(owner, 0)
        then = before.get(owner, 0)
        change = "unchanged" if now == then else f"{'+' if now > then else ''}{_signed(now - then)}"
        rows.append([name, _signed(now), change])
    rows.append(["sum", _signed(sum(after.values())), "balanced"])
    facts: dict[str, Json] = {"rows": rows, "changed": after != before}
    return Happening(Event.LEDGER, f"The issuer's ledger ({cast.CURRENCY})", story.now(), facts=facts)


def _signed(minor: int) -> str:
    if minor == 0:
        return "0"
    return ("-" if minor < 0 else "") + format_money(Money(abs(minor), currency(cast.CURRENCY)))[4:]


def radio(world: World, story: Story) -> Happening:
    """What crossed the air, counted in the btsnoop capture."""
    capture = world.capture.read_bytes()
    total: RadioCount = count(capture)
    found = any(card.pan.encode() in capture for card in cast.CARDS.values())
    rows: list[Json] = [
        [
            "ATT PDUs",
            f"{total.pdus:,}",
            f"{total.writes} writes to the reader, {total.notifications} notifications from it",
        ],
        [
            "bytes",
            f"{total.octets:,}",
            f"card number among them: {'FOUND' if found else 'none (searched)'}",
        ],
    ]
    facts: dict[str, Json] = {
        "rows": rows,
        "pdus": total.pdus,
        "bytes": total.octets,
        "card_number_found": found,
    }
    return Happening(Event.RADIO, "Over the air", story.now(), facts=facts)
