"""Writes settings into the reader's settings file and leaves the rest of it as its owner wrote it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Final

from protocol.errors import InputError

Value = str | int
_PRINTABLE: Final = range(0x20, 0x7F)


def with_values(text: str, section: str, values: Mapping[str, Value | None]) -> str:
    """The file's text with these values in a section, all else as it was; None removes a setting.

    Raises InputError (settings_not_changed) for a file that is written in a way this cannot follow.
    """
    before, inside, after = _split(text.splitlines(), section)
    assigns = re.compile(r"\s*(?:" + "|".join(map(re.escape, values)) + r")\s*=")
    kept = [line for line in inside[1:] if not assigns.match(line)]
    fresh = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    if not inside and before and before[-1].strip():
        before.append("")
    changed = "\n".join([*before, f"[{section}]", *fresh, *kept, *after]) + "\n"
    try:
        old, new = tomllib.loads(text), tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        old, new = {}, {}
    wanted = {**old.get(section, {}), **values}
    old[section] = {key: value for key, value in wanted.items() if value is not None}
    if new != old:
        lines = "\n".join(fresh)
        raise InputError("settings_not_changed", f"Please write by hand, under [{section}]:\n{lines}")
    return changed


def _split(lines: list[str], section: str) -> tuple[list[str], list[str], list[str]]:
    """The lines before a section, its own with its heading, and those after."""
    heading = re.compile(r"\s*\[\s*" + re.escape(section) + r"\s*\]\s*(?:#.*)?$")
    start = next((at for at, line in enumerate(lines) if heading.match(line)), None)
    if start is None:
        return lines, [], []
    others = (at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("["))
    stop = next(others, len(lines))
    return lines[:start], lines[start:stop], lines[stop:]


def _toml(value: Value) -> str:
    if not isinstance(value, str):
        return str(value)
    # What a device says of itself may hold anything.
    return '"' + "".join(c if ord(c) in _PRINTABLE and c not in '"\\' else _escape(c) for c in value) + '"'


def _escape(character: str) -> str:
    return f"\\U{ord(character):08x}"
