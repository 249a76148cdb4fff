"""The kinds of field that a message can have: how each looks on the wire, and what it refuses.

A kind turns a value into the CBOR item that carries it and back. `from_wire` is the only check, for what a
peer sent and for what we are about to send alike. It raises ValueError with a text that describes the rule
and never quotes the value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from protocol.money import Money, currency
from protocol.text import check_shown_text

E = TypeVar("E", bound=Enum)


class Kind(Protocol):
    """One kind of field."""

    def to_wire(self, value: Any) -> object:
        """The CBOR item of a value."""

    def from_wire(self, item: object) -> object:
        """The value of a CBOR item; raises ValueError."""


@dataclass(frozen=True, slots=True)
class At:
    """Annotation of a message's field: its integer key in the map, and its kind."""

    key: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Octets:
    """A byte string of exactly `size` bytes."""

    size: int

    def to_wire(self, value: Any) -> object:
        return value

    def from_wire(self, item: object) -> bytes:
        if type(item) is not bytes or len(item) != self.size:
            raise ValueError(f"must be {self.size} bytes")
        return item


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer from `least` to `most`."""

    least: int
    most: int

    def to_wire(self, value: Any) -> object:
        return value

    def from_wire(self, item: object) -> int:
        if type(item) is not int or not self.least <= item <= self.most:
            raise ValueError(f"must be an integer from {self.least} to {self.most}")
        return item


@dataclass(frozen=True, slots=True)
class Name:
    """A text that `check` accepts: an identifier."""

    check: Callable[[str], str]

    def to_wire(self, value: Any) -> object:
        return value

    def from_wire(self, item: object) -> str:
        if type(item) is not str:
            raise ValueError("must be text")
        return self.check(item)


@dataclass(frozen=True, slots=True)
class Digits:
    """A text of exactly `count` decimal digits."""

    count: int

    def to_wire(self, value: Any) -> object:
        return value

    def from_wire(self, item: object) -> str:
        if type(item) is not str or len(item) != self.count or not (item.isascii() and item.isdigit()):
            raise ValueError(f"must be {self.count} digits")
        return item


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text that a person will read on a display: 1 to `longest` characters, none of them hidden."""

    longest: int

    def to_wire(self, value: Any) -> object:
        return value

    def from_wire(self, item: object) -> str:
        if type(item) is not str:
            raise ValueError("must be text")
        return check_shown_text(item, self.longest, "text")


@dataclass(frozen=True, slots=True)
class OneOf(Generic[E]):
    """A member of a closed list, carried as its value."""

    members: type[E]

    def to_wire(self, value: Any) -> object:
        # `str` and `int` enums carry their plain value: cbor2 gets no subclass to interpret.
        return value.value if isinstance(value, self.members) else value

    def from_wire(self, item: object) -> E:
        for member in self.members:
            if type(item) is type(member.value) and item == member.value:
                return member
        raise ValueError(f"is not a known {self.members.__name__}")


@dataclass(frozen=True, slots=True)
class Versions:
    """An ascending array of 1 to 8 protocol versions, each 1 to 255."""

    def to_wire(self, value: Any) -> object:
        return list(value) if type(value) is tuple else value

    def from_wire(self, item: object) -> tuple[int, ...]:
        if (
            type(item) is not list
            or not 1 <= len(item) <= 8
            or not all(type(version) is int and 1 <= version <= 255 for version in item)
            or item != sorted(set(item))
        ):
            raise ValueError("must be an ascending array of 1 to 8 versions")
        return tuple(item)


@dataclass(frozen=True, slots=True)
class Amount:
    """Money as `[minor units, ISO 4217 letters]`; how many decimals, the standard says, not the sender."""

    def to_wire(self, value: Any) -> object:
        return [value.minor, value.currency.code] if type(value) is Money else value

    def from_wire(self, item: object) -> Money:
        if type(item) is not list or len(item) != 2 or type(item[0]) is not int or type(item[1]) is not str:
            raise ValueError("must be an amount and a currency")
        return Money(item[0], currency(item[1]))
