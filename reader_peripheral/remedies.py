"""What a person can type to put something right: whole commands, with the names that this machine has.

A command comes last in its sentence, and no full stop after it: what is copied is the command alone.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import shutil
import stat
import sys
from pathlib import Path
from typing import Final

SERVICE: Final = "blind-relay-reader.service"
SERVICE_ACCOUNT: Final = "blind-relay"
INSTALLED: Final = Path("/opt/blind-relay/venv")
"""Where packaging/install-reader.sh puts the programs; its command in /usr/local/bin is used with sudo."""
_SOURCE: Final = Path(__file__).resolve().parents[1]
_GROUP_MAY: Final = stat.S_IRGRP | stat.S_IWGRP


def is_installed() -> bool:
    """Whether this is the reader that the service runs, whose files are the service's."""
    return Path(sys.prefix) == INSTALLED


def ours(words: str, *, root: bool = False) -> str:
    """One of this program's commands as a person types it here; `root` where it writes below /etc."""
    if is_installed():
        return f"sudo reader-peripheral {words}"
    program = Path(sys.prefix) / "bin" / "reader-peripheral"
    on_path = shutil.which("reader-peripheral")
    if root and program.exists():  # sudo has a path of its own
        return f"sudo {shlex.quote(str(program))} {words}"
    if on_path is not None or not program.exists():
        return f"reader-peripheral {words}"
    return f"{shlex.quote(str(program))} {words}"


def as_owner(words: str) -> str:
    """A command for a file of the reader's: an installed reader's files are another account's."""
    return f"sudo {words}" if is_installed() else words


def join_group(group: str) -> str:
    """How the account of this process comes into a group."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run under a number without a name
        return f"User {os.geteuid()} has no account here: use one that is in the group {group}."
    if account == SERVICE_ACCOUNT:
        return f"Run: sudo usermod -aG {group} {account} && sudo systemctl restart {SERVICE}"
    return f"Run, then log out and in again: sudo usermod -aG {group} {account}"


def let_use(node: Path, group: str) -> str:
    """How this process may use a device: through the group of its node, once a udev rule gave it one."""
    try:
        status = node.stat()
        owner = grp.getgrgid(status.st_gid).gr_name if status.st_gid else None
    except (OSError, KeyError):
        return join_group(group)
    if owner is None or status.st_mode & _GROUP_MAY != _GROUP_MAY:
        return f"A udev rule is missing. {install_reader()}"
    return join_group(owner)


def install_reader() -> str:
    """How the installation is made, or made good."""
    script = _SOURCE / "packaging" / "install-reader.sh"
    if script.is_file():
        return f"Run: sudo {shlex.quote(str(script))}"
    return "Run, in a clone of Blind Relay: sudo packaging/install-reader.sh"


def without_bluetooth() -> str:
    """What can be run all the same, where the virtual radio may be; an installed reader has none."""
    return "" if is_installed() else f"Without it, run: {ours('run --radio virtual-serve:127.0.0.1:7901')}; "


def install_extra(extra: str) -> str:
    """How a library that is missing gets into the environment of this process."""
    if is_installed():
        return (
            install_reader() if extra == "reader" else "An installed reader has none; in a clone: make demo"
        )
    python = shlex.quote(sys.executable)
    if (_SOURCE / "pyproject.toml").is_file():
        return f"Run: {python} -m pip install -e {shlex.quote(f'{_SOURCE}[{extra}]')}"
    return f"Run, in a clone of Blind Relay: {python} -m pip install '.[{extra}]'"


def guide() -> str:
    """Where the settings are described, on this machine."""
    for folder in (INSTALLED.parent, _SOURCE) if is_installed() else (_SOURCE,):
        if (folder / "docs" / "pi.md").is_file():
            return str(folder / "docs" / "pi.md")
    return "docs/pi.md of Blind Relay"
