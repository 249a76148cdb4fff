"""How commands print: aligned tables for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from service_host.columns import columns, pad

Fields = Mapping[str, object]


def print_json(document: object) -> None:
    """One document, and nothing else on standard output."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def print_fields(fields: Fields, as_json: bool) -> None:
    """One thing: a line a field."""
    if as_json:
        print_json(fields)
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        print(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


def print_rows(rows: Sequence[Fields], as_json: bool, nothing: str) -> None:
    """Many things of one shape: a table; `nothing` is said where there are none."""
    if as_json:
        print_json(list(rows))
    elif not rows:
        print(nothing)
    else:
        names = list(rows[0])
        table = [[name.replace("_", " ") for name in names]]
        table += [[_cell(row[name]) for name in names] for row in rows]
        widths = [max(columns(line[at]) for line in table) for at in range(len(names))]
        for line in table:
            print("  ".join(pad(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip())


def status(blocked: bool) -> str:
    """The word for a flag."""
    return "blocked" if blocked else "active"


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
