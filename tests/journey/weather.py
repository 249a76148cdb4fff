"""Bad weather for one payment, drawn from a seed: loss, delay and cuts, on the air and on the wire. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from virtual_radio.conditions import RadioConditions

MTUS: Final = (23, 100, 185, 247, 517)
"""Those that payments are drawn with."""
SWEPT_MTUS: Final = (517, 100, 23)
SWEPT_FROM: Final = 1_000_000
"""Numbers from here on are no seeds but places in :func:`sweep`."""


class Where(Enum):
    """Where a cut falls, seen from what it is counted by."""

    BEFORE = "before"
    INSIDE = "inside"
    """Half of it is through. On the air nothing is ever half through: there it is BEFORE."""
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Length:
    """What passes in a calm payment: cuts further on would cut nothing."""

    values: int
    """Between phone and reader, hellos included."""
    frames: int
    """On the WebSocket between phone and issuer, acknowledgements included."""


Lengths = Mapping[int, Length]
"""By MTU, as storm.py measures them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A connection is lost, and cannot be had again for `away` seconds."""

    where: Where = Where.BEFORE
    away: float = 0.0


class Mood(Enum):
    """What the person does."""

    PAYS = "pays"
    DECLINES = "declines"
    MISTYPES = "mistypes the PIN"
    IGNORES = "does not look"


@dataclass(frozen=True, slots=True)
class Weather:
    """All that goes wrong in one payment. `radio_cuts` and `wire_cuts` go by number of value and frame."""

    seed: int = 0
    mood: Mood = Mood.PAYS
    thinks: float = 0.0
    radio: RadioConditions = field(default_factory=RadioConditions)
    mtu: int = 517
    radio_cuts: Mapping[int, Cut] = field(default_factory=dict)
    wire_cuts: Mapping[int, Cut] = field(default_factory=dict)
    wire_delay: float = 0.0
    program_dies_at: int | None = None
    """The phone's program is started again at this WebSocket frame, without a goodbye."""

    def __str__(self) -> str:
        parts = [f"seed {self.seed}", self.mood.value, f"MTU {self.mtu}"]
        if self.radio.connection_interval:
            parts.append(f"{1000 * self.radio.connection_interval:g} ms, loss {self.radio.loss:.0%}")
        if self.radio.lost_notifications:
            parts.append(f"notifications lost {self.radio.lost_notifications:.0%}")
        parts += [f"air cut {cut.where.value} {at}, {cut.away:.1f} s" for at, cut in self.radio_cuts.items()]
        parts += [f"wire cut {cut.where.value} {at}, {cut.away:.1f} s" for at, cut in self.wire_cuts.items()]
        if self.wire_delay:
            parts.append(f"wire {1000 * self.wire_delay:.0f} ms")
        if self.program_dies_at is not None:
            parts.append(f"program dies at {self.program_dies_at}")
        return ", ".join(parts)


def draw(seed: int, lengths: Lengths) -> Weather:
    """The weather of a seed: the same seed and lengths, the same weather."""
    chance = random.Random(seed)
    interval = chance.choice((0.0, 0.0, 0.0075, 0.015, 0.03))
    # At MTU 23 a payment takes some 300 round trips: on a slow link that is patience, not weather.
    mtu = chance.choice((100, 185, 247, 517) if interval else (23, 100, 247, 517))
    radio = RadioConditions(
        connection_interval=interval,
        packets_per_event=chance.choice((1, 4, 6)),
        loss=chance.choice((0.0, 0.05, 0.15, 0.3)) if interval else 0.0,
        lost_notifications=chance.choice((0.0, 0.0, 0.0, 0.02, 0.1)),
        seed=seed,
    )
    length = lengths[mtu]
    return Weather(
        seed,
        chance.choices(list(Mood), (18, 1, 1, 0.5))[0],
        chance.choice((0.0, 0.0, 0.05, 0.4)),
        radio,
        mtu,
        _cuts(chance, length.values, (Where.BEFORE, Where.AFTER)),
        _cuts(chance, length.frames, tuple(Where)),
        chance.choice((0.0, 0.0, 0.005, 0.05)),
        _place(chance, 3, length.frames) if chance.random() < 0.1 else None,
    )


def _place(chance: random.Random, first: int, last: int) -> int:
    """One draw whatever the length: the rest of the weather does not hang on it."""
    return first + int(chance.random() * (last - first + 1))


def _cuts(chance: random.Random, last: int, places: tuple[Where, ...]) -> dict[int, Cut]:
    return {
        _place(chance, 1, last): Cut(chance.choice(places), chance.choice((0.0, 0.0, 0.2, 1.0, 4.0)))
        for _ in range(chance.choice((0, 1, 1, 2, 3)))
    }


def sweep(lengths: Lengths) -> list[Weather]:
    """One cut at every value on the air and at every frame on the wire, before and after (inside) it.

    Their numbers say MTU, place and side, so that they stay the same when a payment's length does not.
    """
    swept = []
    for mtu in SWEPT_MTUS:
        calm, on_air, on_wire = Weather(mtu=mtu), SWEPT_FROM + 1000 * mtu, 2 * SWEPT_FROM + 1000 * mtu
        for at in range(1, lengths[mtu].values + 1):
            for side, where in enumerate((Where.BEFORE, Where.AFTER)):
                swept.append(replace(calm, seed=on_air + 2 * at + side, radio_cuts={at: Cut(where)}))
        for at in range(1, lengths[mtu].frames + 1):
            for side, where in enumerate(Where):
                swept.append(replace(calm, seed=on_wire + 3 * at + side, wire_cuts={at: Cut(where)}))
    assert len({weather.seed for weather in swept}) == len(swept)
    return swept
