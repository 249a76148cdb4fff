"""What the system says of an error, in words and without its number or Python's brackets."""

from __future__ import annotations

import os


def words_of(error: BaseException) -> str:
    """The reason, fit to stand in brackets; the error's kind where it gives none."""
    if isinstance(error, OSError):
        # A number from the resolver is negative, and no number of the system's.
        if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno).lower()
        if error.strerror:
            return error.strerror
    return str(error) or type(error).__name__
