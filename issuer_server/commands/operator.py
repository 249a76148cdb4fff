"""Who is at the keyboard, for the audit log."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

LOGIN_UID: Final = Path("/proc/self/loginuid")
"""Who logged in: Linux's audit keeps it through sudo, su and every change of account."""

NOBODY_LOGGED_IN: Final = 2**32 - 1
"""Its value for a service, and in most containers."""

_LONGEST = 80


def operator_name(login: Path = LOGIN_UID) -> str:
    """The login name of the person, and "as" the account where sudo or the installed command changed it.

    The environment is believed under every account: who acts as the issuer's can write its database anyway.
    """
    if sys.platform == "win32":
        return os.getlogin()[:_LONGEST]
    account = _name_of(os.getuid())
    person = _logged_in(login) or os.environ.get("SUDO_USER") or account
    shown = account if person == account else f"{person} as {account}"
    return "".join(letter for letter in shown if letter.isprintable())[:_LONGEST] or "unknown"


def _logged_in(login: Path) -> str | None:
    with suppress(OSError, ValueError):
        if (uid := int(login.read_text("ascii"))) != NOBODY_LOGGED_IN:
            return _name_of(uid)
    return None


def _name_of(uid: int) -> str:
    if sys.platform != "win32":
        import pwd

        with suppress(KeyError):
            return pwd.getpwuid(uid).pw_name
    return f"uid {uid}"
