"""The audit log names the person, through sudo and through the account that the installed command takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from issuer_server.commands.operator import NOBODY_LOGGED_IN, operator_name

pwd = pytest.importorskip("pwd", reason="accounts of Linux")
ROOT = Path(__file__).resolve().parents[2]
HERE = pwd.getpwuid(os.getuid()).pw_name
OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.getuid()))
ASK = (
    "from pathlib import Path; from issuer_server.commands.operator import operator_name;"
    "print(operator_name(Path('none')))"
)


def test_the_installed_command_names_who_gave_it_and_not_its_own_account(tmp_path: Path) -> None:
    """The wrapper's own lines, another account for the issuer's; without root it changes to none."""
    account = pwd.getpwnam("nobody")
    wrapper = (ROOT / "packaging" / "issuer-server").read_text()
    for here, there in (
        ("program=/opt/blind-relay/venv/bin/issuer-server", f"program={sys.executable}"),
        ("--reuid blind-relay-issuer", f"--reuid {account.pw_name}"),
        ("--regid blind-relay-issuer", f"--regid {account.pw_gid}"),
    ):
        assert here in wrapper
        wrapper = wrapper.replace(here, there)
    enters = ["setpriv", "--reuid", "nobody", "--clear-groups", sys.executable, "-c", "import issuer_server"]
    if os.getuid() == 0 and (
        shutil.which("setpriv") is None
        or subprocess.run(enters, cwd=ROOT, capture_output=True, check=False).returncode
    ):
        pytest.skip("another account cannot read this checkout")
    (tmp_path / "issuer-server").write_text(wrapper)
    done = subprocess.run(
        ["sh", tmp_path / "issuer-server", "-c", ASK],
        cwd=ROOT,
        env={**os.environ, "SUDO_USER": "alice"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"alice as {'nobody' if os.getuid() == 0 else HERE}\n"


def test_who_logged_in_comes_first_as_that_is_the_kernels_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    login = tmp_path / "loginuid"
    for uid, name in (
        (str(OTHER.pw_uid), f"{OTHER.pw_name} as {HERE}"),
        (str(os.getuid()), HERE),
        (str(NOBODY_LOGGED_IN), f"alice as {HERE}"),
        ("", f"alice as {HERE}"),
        ("3999999999", f"uid 3999999999 as {HERE}"),
    ):
        login.write_text(uid)
        assert operator_name(login) == name
    monkeypatch.delenv("SUDO_USER")
    assert operator_name(tmp_path / "none") == HERE
