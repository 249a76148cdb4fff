"""What the page sends: a few commands in JSON, checked as if a stranger had written them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from handset_client.preferences import Preferences, Theme
from handset_client.wording import Language
from protocol.errors import InputError
from protocol.identifiers import PaymentId, ReaderId, check_payment_id, parse_reader_id


class CommandError(Exception):
    """Not a command of the page."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word of a tab: the key of its session."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Press:
    """Approve, or decline and call off, for the payment that was on show."""

    payment_id: PaymentId
    approved: bool
    block: bool = False
    """With a decline: no more requests of this shop."""


@dataclass(frozen=True, slots=True)
class Done:
    """The receipt was read."""

    payment_id: PaymentId


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting changed. Only what is not None counts; `any_reader` is the choice of none."""

    language: Language | None = None
    theme: Theme | None = None
    reader: ReaderId | None = None
    any_reader: bool = False

    def applied_to(self, preferences: Preferences) -> Preferences:
        """The settings after it."""
        if self.language is not None:
            return replace(preferences, language=self.language)
        if self.theme is not None:
            return replace(preferences, theme=self.theme)
        return replace(preferences, reader=None if self.any_reader else self.reader)


Command = Hello | Press | Done | Setting


def parse_command(text: str) -> Command:
    """Check one message. Raises CommandError."""
    try:
        content: object = json.loads(text)
        if not isinstance(content, Mapping):
            raise CommandError("not an object")
        match content.get("type"):
            case "hello":
                return Hello(_text(content, "key"))
            case "press":
                approved = content.get("approved")
                if not isinstance(approved, bool):
                    raise CommandError("neither approved nor declined")
                block = content.get("block", False)
                if not isinstance(block, bool) or (block and approved):
                    raise CommandError("block goes with a decline")
                return Press(check_payment_id(_text(content, "payment_id")), approved, block)
            case "done":
                return Done(check_payment_id(_text(content, "payment_id")))
            case "set_language":
                return Setting(language=Language(_text(content, "value")))
            case "set_theme":
                return Setting(theme=Theme(_text(content, "value")))
            case "set_reader":
                reader = content.get("value")
                if reader is None:
                    return Setting(any_reader=True)
                return Setting(reader=parse_reader_id(_text(content, "value")))
    except (ValueError, RecursionError, InputError) as error:
        raise CommandError(type(error).__name__) from None
    raise CommandError("no such command")


def _text(content: Mapping[str, object], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise CommandError(f"{name} is no text")
    return value
