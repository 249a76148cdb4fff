"""What the reader tells a person to type: commands that work as they stand, with this machine's names."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reader_peripheral import remedies

SOURCES = sorted(Path(remedies.__file__).parent.rglob("*.py"))
ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name
A_GROUP = next(group for group in grp.getgrall() if group.gr_gid)


class Node:
    """A device's node with made-up rights."""

    def __init__(self, mode: int, group: int) -> None:
        self._status = SimpleNamespace(st_mode=mode, st_gid=group)

    def stat(self) -> SimpleNamespace:
        return self._status


def command(remedy: str) -> list[str]:
    """What would be copied: all after the last colon and space."""
    text = remedy.rsplit(": ", 1)[1]
    assert not text.endswith(".")
    checked = subprocess.run(["bash", "-n", "-c", text], check=False, capture_output=True, text=True)
    assert not checked.stderr
    return shlex.split(text)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(remedies.INSTALLED))


def test_no_message_leaves_a_name_to_be_filled_in() -> None:
    for path in SOURCES:
        assert not re.search(r"\$[A-Z{]", path.read_text()), path


def test_the_account_of_this_process_is_named() -> None:
    assert command(remedies.join_group("i2c")) == ["sudo", "usermod", "-aG", "i2c", ACCOUNT]


def test_the_services_account_is_restarted_and_does_not_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name=remedies.SERVICE_ACCOUNT))
    words = command(remedies.join_group("gpio"))
    assert words[:5] == ["sudo", "usermod", "-aG", "gpio", "blind-relay"]
    assert words[-4:] == ["sudo", "systemctl", "restart", remedies.SERVICE]


def test_a_number_without_a_name_is_not_made_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert f"User {os.geteuid()} has no account" in remedies.join_group("input")


def test_the_group_is_the_nodes_own() -> None:
    remedy = remedies.let_use(Node(0o660, A_GROUP.gr_gid), "i2c")  # type: ignore[arg-type]
    assert command(remedy)[3:] == [A_GROUP.gr_name, ACCOUNT]


@pytest.mark.parametrize("node", [Node(0o600, 0), Node(0o660, 0), Node(0o640, A_GROUP.gr_gid)])
def test_where_no_group_may_the_udev_rule_is_what_lacks(node: Node) -> None:
    remedy = remedies.let_use(node, "gpio")  # type: ignore[arg-type]
    assert "udev rule" in remedy
    words = command(remedy)
    assert words[0] == "sudo"
    assert os.access(words[1], os.X_OK)


def test_a_node_that_went_away_meanwhile() -> None:
    assert command(remedies.let_use(Path("/dev/nothing-here"), "input"))[3] == "input"


def test_our_own_commands_can_be_copied_where_they_were_not_installed() -> None:
    for root in (False, True):
        words = shlex.split(remedies.ours("learn swiper", root=root))
        assert (words[0] == "sudo") is root
        program = shutil.which(words[root])
        assert program is not None
        assert words[root + 1 :] == ["learn", "swiper"]


@pytest.mark.usefixtures("installed")
def test_an_installed_readers_commands_are_for_its_service() -> None:
    assert remedies.ours("enrol") == "sudo reader-peripheral enrol"
    assert remedies.as_owner("chmod 600 x") == "sudo chmod 600 x"
    assert remedies.install_extra("reader") == remedies.install_reader()
    assert remedies.without_bluetooth() == "", "the virtual radio is for trying things, and not installed"
    assert "make demo" in remedies.install_extra("demo")


def test_a_missing_library_is_installed_into_this_very_environment() -> None:
    words = command(remedies.install_extra("reader"))
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert words[-1].endswith("[reader]")
