"""Numbered SQL migrations, `NNNN_what.dialect.sql`, applied in order and never edited once released."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.([a-z]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: applied when the database stands at `number - 1`."""

    number: int
    name: str
    sql: str


def migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations of a dialect ("sqlite"), numbered 1, 2, 3 … without a gap."""
    found = []
    for entry in resources.files(__name__).iterdir():
        match = _NAME.fullmatch(entry.name)
        if match and match[2] == dialect:
            found.append(Migration(int(match[1]), entry.name, entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    if not found or [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise RuntimeError(f"the {dialect} migrations are not numbered 1, 2, 3 … without a gap")
    return tuple(found)
