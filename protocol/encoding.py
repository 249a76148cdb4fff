"""Deterministic CBOR (RFC 8949 section 4.2.1) in the small subset that the messages need.

cbor2 can be bounded, so it does the decoding: nesting and input size are limited here, cbor2 takes a declared
length only as far as there are bytes, and every tag is refused, so that nothing becomes a bignum, a regular
expression or a date. What determinism forbids (longer integers, another key order, trailing bytes) is caught
in one place: the caller encodes what it understood and compares (`messages.Message.decode`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NoReturn

import cbor2

from protocol.errors import LocalProtocolError, MessageError

# The framing's largest message (its length field is 16 bits, its limit is this).
MAX_SIZE: Final = 4096
# A message is a map that may hold an array, a COSE_Sign1 an array that holds a map.
MAX_DEPTH: Final = 2


class _EveryTagRefused(Mapping[int, Callable[[Any, bool], Any]]):
    """As cbor2's `semantic_decoders`: answers for every tag, so that no built-in tag decoder ever runs."""

    def __getitem__(self, tag: int) -> Callable[[Any, bool], Any]:
        return self._refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0

    @staticmethod
    def _refuse(value: Any, immutable: bool) -> NoReturn:
        raise ValueError


_NO_TAGS: Final = _EveryTagRefused()


def encode(item: object) -> bytes:
    """The deterministic encoding of an item made of dict, list, int, bytes and str.

    cbor2's canonical order is that of RFC 7049 (shorter keys first). For our keys, integers of one byte, it
    is also the bytewise order that RFC 8949 section 4.2.1 asks for.
    """
    return cbor2.dumps(item, canonical=True)


def decode(data: bytes, what: str) -> object:
    """The item at the start of `data`, `what` in errors; trailing bytes are the caller's comparison to catch.

    Raises MessageError for anything too large, too deep, tagged, cut short or not CBOR.
    """
    if type(data) is not bytes:
        raise LocalProtocolError(f"{what}: decode takes bytes")
    if len(data) > MAX_SIZE:
        raise MessageError(what, f"longer than {MAX_SIZE} bytes")
    try:
        item: object = cbor2.loads(
            data,
            semantic_decoders=_NO_TAGS,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError):
        # `from None`: cbor2's own text may quote what it read.
        raise MessageError(what, "not deterministic CBOR") from None
    return item
