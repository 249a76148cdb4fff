"""Every error the protocol raises, ours apart from the peer's (the distinction h11 draws in its `_util`).

No text holds a card number, a PIN, a key or any other value that came from a peer: fields are named, not
quoted.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class BlindRelayError(Exception):
    """The root: catching this catches everything that Blind Relay raises on purpose."""


class LocalProtocolError(BlindRelayError):
    """We were about to break the protocol: a bug on this side."""


class IllegalTransition(LocalProtocolError):  # noqa: N818 - says what happened, as h11 and asyncio do
    """A state machine was given an event that its table does not list for the state that it is in."""

    def __init__(self, role: str, state: Enum, event: Enum) -> None:
        super().__init__(f"{role}: no move from {state.name} on {event.name}")
        self.role = role
        self.state = state
        self.event = event


class PeerError(BlindRelayError):
    """The other side sent something that cannot be accepted."""


class MessageError(PeerError):
    """A message is malformed, unknown or not deterministically encoded; names the field, never its value."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class SignatureError(PeerError):
    """A COSE_Sign1 is malformed, names another key, or its signature does not verify."""


class SealError(PeerError):
    """Sealing or opening failed. One text for every cause, so that a sender learns nothing from it."""

    def __init__(self) -> None:
        super().__init__("the envelope cannot be sealed or opened")


class ResealMismatch(SealError):  # noqa: N818 - the name of the step that failed
    """An opened envelope, sealed again, differs from the copy received (steps S13 and S20 of the patent)."""


class FramingError(PeerError):
    """A Bluetooth value broke the framing rules; `code` is what the ERROR frame carries back."""

    def __init__(self, code: IntEnum, problem: str) -> None:
        super().__init__(f"{code.name.lower()}: {problem}")
        self.code = code


class InputError(BlindRelayError, ValueError):
    """A person's input cannot be used. `code` is stable snake_case for programs; `str()` says what to do."""

    def __init__(self, code: str, advice: str) -> None:
        super().__init__(advice)
        self.code = code
