"""Logs: plain lines for a person at a terminal; for programs one JSON object a line, of our own fields alone.

In both an exception appears by its type: texts and tracebacks of others may quote what passed through.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final, TextIO

from issuer_server.operations.operating_settings import LogFormat
from issuer_server.operations.request_context import CURRENT_REQUEST

_FIELDS: Final = (
    "payment_id",
    "handset_id",
    "event",
    "effect",
    "state",
    "reason",
    "code",
    "dropped",
    "method",
    "route",
    "status",
    "milliseconds",
)


class JsonLines(logging.Formatter):
    """Time, level, logger, message and the fields named above. Exceptions appear by their type alone.

    A line of what a request set in motion carries the id that its caller was told.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := CURRENT_REQUEST.get()) is not None:
            line["request_id"] = request_id
        for name in _FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value if isinstance(value, int | float) else str(value)
        if exception := _exception(record):
            line["exception"] = exception
        return json.dumps(line)


class PlainLines(logging.Formatter):
    """Local time and message; the level where something is wrong."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        exception = _exception(record)
        return f"{time} {level}{record.getMessage()}" + (f" ({exception})" if exception else "")


def formatter_for(stream: TextIO, wanted: LogFormat = LogFormat.AUTO) -> logging.Formatter:
    """What is wanted; else plain lines where a person reads along, JSON for a file, a pipe or a journal."""
    if wanted is LogFormat.AUTO:
        wanted = LogFormat.PLAIN if stream.isatty() else LogFormat.JSON
    return PlainLines() if wanted is LogFormat.PLAIN else JsonLines()


def _exception(record: logging.LogRecord) -> str | None:
    kind = record.exc_info[0] if record.exc_info else None
    return None if kind is None else kind.__name__
