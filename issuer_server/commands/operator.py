"""Who is at the keyboard, for the audit log."""

from __future__ import annotations

import os
import sys

_LONGEST = 80


def operator_name() -> str:
    """The login name that the system knows; where sudo changed it, the one before as well."""
    if sys.platform == "win32":
        return os.getlogin()[:_LONGEST]
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER") if os.getuid() == 0 else None
    shown = f"{behind} as {name}" if behind else name
    return "".join(letter for letter in shown if letter.isprintable())[:_LONGEST] or "unknown"
