"""One defence, its place in the product, and how it is taken out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """In one module, `old` (there exactly once) becomes `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Switch:
    """One defence and how it is taken out."""

    name: str
    edits: tuple[Edit, ...]


def off(name: str, *edits: tuple[str, str, str]) -> Switch:
    """The switch of that name; of each edit the module, the text, and what it becomes."""
    return Switch(name, tuple(Edit(*edit) for edit in edits))
