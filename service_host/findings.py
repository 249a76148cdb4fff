"""What a `doctor` finds: each check with how it came out, what was seen, and the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # works, and could be better
    FAULT = "fault"
    UNKNOWN = "unknown"  # cannot be told here


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, how it came out, what was seen, and what to do about it."""

    check: str
    level: Level
    seen: str
    remedy: str = ""


_SIGNS: Final = {Level.OK: "ok", Level.NOTE: "note", Level.FAULT: "FAULT", Level.UNKNOWN: "?"}


def worst(findings: Sequence[Finding]) -> int:
    """The exit status: 1 when something keeps the program from working."""
    return int(any(finding.level is Level.FAULT for finding in findings))


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """For people: a line a check, and its remedy on the next."""
    for finding in findings:
        yield f"{_SIGNS[finding.level]:>5}  {finding.check}: {finding.seen}"
        if finding.remedy:
            yield f"       -> {finding.remedy}"


def document(findings: Sequence[Finding]) -> str:
    """For programs: one JSON array."""
    return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)
