"""What the person has chosen about the phone itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from handset_client.wording import Language
from protocol.errors import InputError
from protocol.identifiers import ReaderId, parse_reader_id, reader_id_text

MOST_READERS: Final = 8
"""Readers remembered for the list to choose from; the one seen longest ago goes first."""


class Theme(StrEnum):
    """Bright or dark; SYSTEM follows the desktop."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Preferences:
    """The settings. `language` None follows the system; `reader` None takes any; `readers` were seen."""

    language: Language | None = None
    theme: Theme = Theme.SYSTEM
    reader: ReaderId | None = None
    readers: tuple[ReaderId, ...] = ()

    def __post_init__(self) -> None:
        if len(self.readers) > MOST_READERS or len(set(self.readers)) != len(self.readers):
            raise ValueError("readers must be few and different")

    def saw(self, reader: ReaderId) -> Preferences:
        """With this reader in the list, as the latest seen."""
        others = tuple(known for known in self.readers if known != reader)
        return replace(self, readers=(*others, reader)[-MOST_READERS:])

    def was_wrong(self, reader: ReaderId) -> Preferences:
        """With this reader no longer the one used last: the issuer does not take it from this phone."""
        others = tuple(known for known in self.readers if known != reader)
        return replace(self, readers=(reader, *others) if others and reader in self.readers else others)

    def to_json(self) -> dict[str, object]:
        """As the file has it."""
        return {
            "language": self.language,
            "theme": self.theme,
            "reader": None if self.reader is None else reader_id_text(self.reader),
            "readers": [reader_id_text(reader) for reader in self.readers],
        }

    @classmethod
    def from_json(cls, content: object) -> Preferences:
        """From a file that a person may have edited. Raises ValueError where it cannot be used."""
        if not isinstance(content, Mapping):
            raise ValueError("not an object")
        language, reader, readers = content.get("language"), content.get("reader"), content.get("readers", [])
        if not isinstance(readers, list):
            raise ValueError("readers is no list")
        try:
            return cls(
                language=None if language is None else Language(language),
                theme=Theme(content.get("theme", Theme.SYSTEM)),
                reader=None if reader is None else _reader(reader),
                readers=tuple(_reader(seen) for seen in readers),
            )
        except InputError as error:
            raise ValueError(str(error)) from None


def _reader(text: object) -> ReaderId:
    if not isinstance(text, str):
        raise ValueError("a reader is no text")
    return parse_reader_id(text)
