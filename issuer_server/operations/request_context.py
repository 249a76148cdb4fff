"""Which request the running code works for: every log line of it carries the id that the caller was told.

A task takes over the context of the code that started it, so what a request sets in motion, a payment's
deadlines too, is still the request's.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

CURRENT_REQUEST: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The `request_id` of the problem details and of the X-Request-Id header."""
