"""Taking a defence out of a module's source."""

from __future__ import annotations

from collections.abc import Sequence

from tests.defences.switch import Edit


def edited(source: str, edits: Sequence[Edit]) -> str:
    """The source without the defence; each edit must find its text exactly once."""
    for edit in edits:
        if source.count(edit.old) != 1:
            raise LookupError(f"{edit.module} has {source.count(edit.old)} times: {edit.old!r}")
        source = source.replace(edit.old, edit.new)
    return source
