"""Rotating and retiring keys beside a running server. Every step can be cut short and asked for again.

Rotating makes the key first (durably, where keys are kept) and then says so in the database, in one
transaction; a command killed in between leaves a key that the next one takes over. Retiring says so first and
destroys the key afterwards; killed in between, it is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from issuer_server.key_custody.key_opening import seal_all
from issuer_server.key_custody.key_ring import KeyRing
from issuer_server.key_custody.key_store import KeyCabinet, KeyPurpose
from issuer_server.storage.key_records import AuditEntry, KeyInUse, KeyState, KeyTable
from protocol.identifiers import reader_id_text

READERS_NAMED: Final = 5
"""How many readers a refusal names."""

_MADE_WITH: Final = {
    KeyPurpose.SIGNING: ("reader or code", "readers and codes"),
    KeyPurpose.PAN_INDEX: ("card", "cards"),
    KeyPurpose.PIN_PEPPER: ("card", "cards"),
    KeyPurpose.WEBHOOK_SEAL: ("webhook secret", "webhook secrets"),
}


def counted(purpose: KeyPurpose, count: int) -> str:
    """What depends on a key, in words."""
    one, many = _MADE_WITH[purpose]
    return f"{count} {one if count == 1 else many}"


@dataclass(frozen=True, slots=True)
class KeyLine:
    """What an operator sees of a version. `kept_in` is None where the key is nowhere."""

    purpose: KeyPurpose
    version: int
    state: KeyState
    since: float
    uses: int
    kept_in: str | None


@dataclass(frozen=True, slots=True)
class Rotated:
    """`left` things still depend on the version before."""

    purpose: KeyPurpose
    version: int
    before: int
    kept_in: str
    left: int


async def survey(table: KeyTable, cabinet: KeyCabinet, now: float) -> list[KeyLine]:
    """Every version there ever was; asks for no key, so that it also works where one is missing."""
    uses = await table.uses(now)
    return [
        KeyLine(
            each.purpose,
            each.version,
            each.state,
            each.created_at if each.retired_at is None else each.retired_at,
            uses.get((each.purpose, each.version), 0),
            cabinet.where(each.purpose, each.version),
        )
        for each in await table.versions()
    ]


async def rotate(
    ring: KeyRing, purpose: KeyPurpose, random: Callable[[int], bytes], operator: str, now: float
) -> Rotated:
    """A new version for what is made from now on; raises KeysChanged, KeyStoreError."""
    table, cabinet = ring.table, ring.cabinet
    before = ring.active(purpose)
    version = 1 + max(each.version for each in await table.versions() if each.purpose is purpose)
    check_value = cabinet.make(purpose, version)
    entry = AuditEntry(operator, f"rotate {purpose}", f"version {version}", now)
    await table.activate(purpose, version, before, check_value, entry)
    await ring.refresh()
    if purpose is KeyPurpose.WEBHOOK_SEAL:
        await seal_all(table, ring.seal, random)
    left = (await table.uses(now)).get((purpose, before), 0)
    return Rotated(purpose, version, before, cabinet.where(purpose, version) or "", left)


async def retire(
    ring: KeyRing,
    purpose: KeyPurpose,
    version: int,
    random: Callable[[int], bytes],
    operator: str,
    now: float,
    *,
    abandon: bool = False,
) -> int:
    """Destroy a version that nothing needs, or with `abandon` whatever needs it: how many things now fail.

    Raises KeyInUse with what to do. A running server lets go of it within `key_ring.LOOK_EVERY` seconds.
    """
    if purpose is KeyPurpose.WEBHOOK_SEAL:
        await seal_all(ring.table, ring.seal, random)  # what a killed rotation left
    entry = AuditEntry(operator, f"{'abandon' if abandon else 'retire'} {purpose}", f"version {version}", now)
    try:
        left = await ring.table.retire(purpose, version, abandon=abandon, now=now, entry=entry)
    except KeyInUse as refusal:
        if refusal.code != "key_in_use":
            raise
        raise KeyInUse(refusal.code, f"{refusal} {await _what_to_do(ring.table, purpose, version)}") from None
    ring.cabinet.destroy(purpose, version)
    return left


async def _what_to_do(table: KeyTable, purpose: KeyPurpose, version: int) -> str:
    match purpose:
        case KeyPurpose.SIGNING:
            readers = await table.readers_pinning(version, READERS_NAMED + 1)
            named = ", ".join(reader_id_text(each) for each in readers[:READERS_NAMED])
            more = " and more" if len(readers) > READERS_NAMED else ""
            trusting = (
                f"These readers trust it: {named}{more}." if readers else "Unused reader codes carry it."
            )
            return (
                f"{trusting} Enrol each again (`issuer-server reader add`, then at the reader"
                " `reader-peripheral enrol --replace`) and block its old entry (`issuer-server reader block"
                " ID`); codes end by themselves within a day. Or add --abandon: what is left can pay no more."
            )
        case KeyPurpose.PAN_INDEX:
            return (
                "These are cards that were not swiped since the rotation. Wait, give their numbers to"
                " `issuer-server card reindex`, or add --abandon: they are unknown then, until added again."
            )
        case KeyPurpose.PIN_PEPPER:
            return (
                "These are cards whose PIN was not typed since the rotation. Wait, run `issuer-server card"
                " reset-pin` for them, or add --abandon: they are refused then, until their PIN is reset."
            )
        case KeyPurpose.WEBHOOK_SEAL:
            return "Webhook secrets are still sealed with it: run this command again."
