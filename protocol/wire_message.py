"""What every message is: a frozen dataclass, checked when built, with exactly one encoding.

A message class lists its fields with `Annotated[type, At(key, kind)]`; from that come its check, its CBOR map
and the way back. A field whose type admits None may be left out of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Self, get_args, get_origin, get_type_hints

from protocol.encoding import decode, encode
from protocol.errors import LocalProtocolError, MessageError
from protocol.wire_fields import Kind

PROTOCOL_VERSION: Final = 1

_TYPE_KEY: Final = 0
_VERSION_KEY: Final = 1


class _Field(NamedTuple):
    """One field of a message class, read off its annotation."""

    name: str
    key: int
    kind: Kind
    required: bool


_layouts: Final[dict[type[Message], tuple[_Field, ...]]] = {}


def _fields(message: type[Message]) -> tuple[_Field, ...]:
    """The fields of a message class, read once; a type that admits None is a key that may be left out."""
    if message not in _layouts:
        _layouts[message] = tuple(
            _Field(name, note.key, note.kind, required=type(None) not in get_args(hint.__origin__))
            for name, hint in get_type_hints(message, include_extras=True).items()
            if get_origin(hint) is Annotated
            for note in hint.__metadata__
        )
    return _layouts[message]


@dataclass(frozen=True, slots=True)
class Message:
    """What all messages share: the check when built, and the one encoding."""

    TYPE: ClassVar[IntEnum]

    def __post_init__(self) -> None:
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if value is None and not field.required:
                continue
            try:
                read = field.kind.from_wire(field.kind.to_wire(value))
            except ValueError as rule:
                raise LocalProtocolError(f"{type(self).__name__}.{field.name}: {rule}") from None
            if type(read) is not type(value) or read != value:
                raise LocalProtocolError(f"{type(self).__name__}.{field.name}: is of another type")
        try:
            self._check_together()
        except ValueError as rule:
            raise LocalProtocolError(f"{type(self).__name__}: {rule}") from None

    def _check_together(self) -> None:
        """Rules about more than one field; raises ValueError."""

    def encode(self) -> bytes:
        """The message as deterministic CBOR."""
        items: dict[int, object] = {_TYPE_KEY: int(self.TYPE), _VERSION_KEY: PROTOCOL_VERSION}
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if value is not None:
                items[field.key] = field.kind.to_wire(value)
        return encode(items)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The message that `data` is, whole and in its one encoding; raises MessageError."""
        name = cls.__name__
        items = decode(data, name)
        if type(items) is not dict:
            raise MessageError(name, "must be a map")
        if type(items.get(_TYPE_KEY)) is not int or items[_TYPE_KEY] != cls.TYPE:
            raise MessageError(name, "is of another type")
        if type(items.get(_VERSION_KEY)) is not int or items[_VERSION_KEY] != PROTOCOL_VERSION:
            raise MessageError(f"{name}.version", f"must be {PROTOCOL_VERSION}: update the older program")
        values: dict[str, Any] = {}
        for field in _fields(cls):
            if field.key not in items:
                if field.required:
                    raise MessageError(f"{name}.{field.name}", "is missing")
                values[field.name] = None
                continue
            try:
                values[field.name] = field.kind.from_wire(items[field.key])
            except ValueError as rule:
                raise MessageError(f"{name}.{field.name}", str(rule)) from None
        try:
            message = cls(**values)
        except LocalProtocolError:  # each field is good by now: it is several together that are not
            raise MessageError(name, "has fields that contradict each other") from None
        # Catches at once every other encoding of the same message: longer integers, another order, unknown
        # keys, duplicate keys, trailing bytes.
        if message.encode() != data:
            raise MessageError(name, "not deterministic CBOR")
        return message
