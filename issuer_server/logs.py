"""Logs for machines: one JSON object a line, from the fields that our own records carry and no others."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

_FIELDS: Final = (
    "payment_id",
    "handset_id",
    "request_id",
    "event",
    "effect",
    "state",
    "reason",
    "code",
    "dropped",
)


class JsonLines(logging.Formatter):
    """Time, level, logger, message and the fields named above. Exceptions appear by their type alone."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value if isinstance(value, int) else str(value)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line)
