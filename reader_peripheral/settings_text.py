"""A settings file as text: read whatever it may be, and every fault of it said with its line."""

from __future__ import annotations

import errno
import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from protocol.errors import InputError
from protocol.text import shown
from reader_peripheral.remedies import guide

_LARGEST: Final = 64 * 1024
"""Far more than all settings take; what is larger is another file."""
_LINE_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class SettingsText:
    """The text of the file at `path`."""

    path: Path
    text: str = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> SettingsText:
        """The file's text. Raises InputError (invalid_settings)."""
        try:
            if path.is_dir():
                raise invalid(f"{path} is a folder. Name the file in it with --settings")
            if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
                raise invalid(f"{path} is no file. Name one with --settings")
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
        except OSError as problem:
            raise invalid(_unreadable(path, problem)) from None
        if len(content) > _LARGEST:
            raise invalid(f"{path} is too large for settings. Name the right file with --settings")
        try:
            return cls(path, content.decode("utf-8-sig"))  # some editors put a mark before the first line
        except UnicodeDecodeError as problem:
            line = content[: problem.start].count(b"\n") + 1
            words = "this is not text, or not in UTF-8. Save the file as UTF-8 text."
            raise invalid(f"{path}, line {line}: {words}") from None

    def tables(self) -> Mapping[str, Any]:
        """What it says, as tables. Raises InputError (invalid_settings)."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as fault:
            problem = str(fault)
        except RecursionError:
            problem = "Too many brackets within brackets"
        except ValueError:
            problem = "A number that is too long"
        raise invalid(self._not_toml(problem))

    def place(self, section: str, key: str | None = None) -> str:
        """Where a section or a setting of it stands: the file, and the line where that can be told."""
        header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]")
        inside, found = False, None
        for number, line in enumerate(self.text.splitlines(), start=1):
            if line.lstrip().startswith("["):
                inside = header.match(line) is not None
                found = number if inside and found is None else found
            elif inside and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return f"{self.path}, line {number}"
        return f"{self.path}, line {found}" if found else str(self.path)

    def _not_toml(self, problem: str) -> str:
        """What tomllib says, its place first, then the line itself."""
        found = re.fullmatch(r"(.+?) \(at (?:line (\d+), column \d+|end of document)\)", problem, re.DOTALL)
        words = shown(found[1] if found else problem, _LINE_SHOWN)
        lines = self.text.splitlines() or [""]
        number = min(int(found[2]) if found and found[2] else len(lines), len(lines))
        line = shown(lines[number - 1], _LINE_SHOWN)
        wrong = f"{words[:1].lower()}{words[1:]}"
        return f"{self.path}, line {number}: {wrong}: {line} - Correct it as in {guide()}"


def invalid(text: str) -> InputError:
    """A fault of the settings file, in words."""
    return InputError("invalid_settings", text)


def _unreadable(path: Path, problem: OSError) -> str:
    match problem.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"There is no {path}. Name the settings file with --settings, or leave that out."
        case errno.EACCES | errno.EPERM:
            closed = path if os.access(path.parent, os.X_OK) else path.parent
            return f"{path} may not be read by this user. Run: sudo chmod a+rX {shlex.quote(str(closed))}"
        case _:
            return f"{path} cannot be read: {problem.strerror}."
