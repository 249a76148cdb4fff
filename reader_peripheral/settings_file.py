"""The reader's settings file (TOML): a section a device, every name and type checked, faults in words.

A section is a frozen dataclass: its fields are the names that may stand there, its defaults what is not
set, and its `__post_init__` checks the values and raises InputError.
"""

from __future__ import annotations

import difflib
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from protocol.errors import InputError
from reader_peripheral.settings_text import SettingsText, invalid

SETTINGS_VARIABLE = "BLIND_RELAY_READER_SETTINGS"
SYSTEM_SETTINGS = Path("/etc/blind-relay/reader.toml")

Section = TypeVar("Section")

_TYPE_WORDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def settings_path(given: str | None) -> Path | None:
    """The file to read: as given, by BLIND_RELAY_READER_SETTINGS, or the system's, if there is one."""
    named = given or os.environ.get(SETTINGS_VARIABLE)
    if named:
        return Path(named).expanduser()
    return SYSTEM_SETTINGS if SYSTEM_SETTINGS.exists() else None


def check_sections(tables: Mapping[str, Any], known: tuple[str, ...], text: SettingsText) -> None:
    """Every table must be one of `known`. Raises InputError (invalid_settings)."""
    for name, table in tables.items():
        if name not in known:
            if not isinstance(table, Mapping):
                raise invalid(f"{text.path}: {name} stands before any section. Put it below its [section].")
            raise invalid(f"{text.place(name)}: there is no section [{name}].{_nearest(name, known, '[{}]')}")
        if not isinstance(table, Mapping):
            raise invalid(f"{text.place(name)}: {name} must be a section: [{name}].")


def read_section(kind: type[Section], name: str, table: Mapping[str, Any], text: SettingsText) -> Section:
    """One section as its dataclass; raises InputError (invalid_settings) with file, line and setting."""
    hints = typing.get_type_hints(kind)
    known = tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            where = text.place(name, key)
            raise invalid(f"{where}: [{name}] has no setting {key!r}.{_nearest(key, known, '{}')}")
        values[key] = _value(hints[key], value, f"{text.place(name, key)}: [{name}] {key}")
    try:
        return kind(**values)
    except InputError as problem:
        meant = next((key for key in table if key in str(problem)), None)
        raise invalid(f"{text.place(name, meant)}: [{name}]: {problem}") from None


def _value(wanted: Any, value: Any, what: str) -> Any:
    """`value` as the type that the field has; TOML's own types are those of Python."""
    if isinstance(wanted, types.UnionType):  # `int | None`: nothing in TOML is None, so it is the other one
        wanted = next(choice for choice in typing.get_args(wanted) if choice is not types.NoneType)
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        choices = tuple(choice.value for choice in wanted)
        if value not in choices:
            listed = ", ".join(f'"{choice}"' for choice in choices)
            raise invalid(f"{what} must be one of {listed}.{_nearest(str(value), choices, '{}')}")
        return wanted(value)
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        if not isinstance(value, list):
            raise invalid(f"{what} must be a list: [ …, … ].")
        return tuple(_value(inner, item, what) for item in value)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:  # bool is an int to isinstance
        raise invalid(f"{what} must be {_TYPE_WORDS[wanted]}.")
    return value


def _nearest(wrong: str, known: tuple[str, ...], shape: str) -> str:
    near = difflib.get_close_matches(wrong, known, n=1)
    return f" Did you mean {shape.format(near[0])}?" if near else f" There is: {', '.join(known)}."
