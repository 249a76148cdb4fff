"""What puts a reader on a machine: the guide's settings are real ones, unit and script say what they must."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reader_peripheral import cli
from reader_peripheral.adapters.magtek_hid import MAGTEK
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.devices import input_devices
from reader_peripheral.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
GUIDE = (ROOT / "docs" / "pi.md").read_text("utf-8")
SNIPPETS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
SCRIPTS = ("install-reader.sh", "reader-peripheral")


def test_the_guide_says_how_to_pay_without_a_test_card() -> None:
    """Settings stand in snippets alone, each of which the next test tries."""
    assert not re.search(r"`kind = ", GUIDE)
    assert any(snippet.count('kind = "terminal"') == 2 for snippet in SNIPPETS)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_settings_of_the_guide_are_settings(snippet: str, tmp_path: Path) -> None:
    path = tmp_path / "reader.toml"
    # What `learn` wrote for a person who followed the guide; a section of the snippet takes its place.
    devices = {"swiper": 1, "keypad": 2}
    learned = {name: f'[{name}]\nkind = "keyboard"\nvendor = {number}\n' for name, number in devices.items()}
    kept = "".join(text for name, text in learned.items() if f"[{name}]" not in snippet)
    for written in (snippet, re.sub(r"(?m)^# (\w+ = )", r"\1", snippet)):
        path.write_text(kept + written)
        chosen = read_settings(path)
        input_devices(chosen.swiper, chosen.keypad, TerminalInput(0))


def test_the_settings_file_that_is_installed_is_one(tmp_path: Path) -> None:
    assert read_settings(PACKAGING / "reader.toml") == read_settings(None)


class Unit(configparser.RawConfigParser):
    """A unit file with case kept; settings that stand twice count once."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def test_the_service_may_do_little_and_leaves_nothing_on_a_disk() -> None:
    unit = Unit(strict=False)
    unit.read(PACKAGING / "blind-relay-reader.service")
    wanted = {
        "Type": "notify",
        "User": "blind-relay",
        "LimitCORE": "0",
        "LimitMEMLOCK": "infinity",
        "MemorySwapMax": "0",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "DevicePolicy": "closed",
        "ProtectSystem": "strict",
        "PrivateNetwork": "yes",
        "RestrictAddressFamilies": "AF_UNIX",
    }
    assert wanted.items() <= dict(unit["Service"]).items()
    state = unit["Service"]["StateDirectory"]
    assert f"BLIND_RELAY_READER_DATA=/var/lib/{state}" in unit["Service"]["Environment"]


def test_the_udev_rules_give_devices_to_groups_that_the_service_is_in() -> None:
    unit = Unit(strict=False)
    unit.read(PACKAGING / "blind-relay-reader.service")
    own = unit["Service"]["Group"]
    groups = [own, *unit["Service"]["SupplementaryGroups"].split()]
    rules = (PACKAGING / "70-blind-relay-reader.rules").read_text().splitlines()
    written = [rule for rule in rules if rule and not rule.startswith("#")]
    assert len(written) == 4
    for rule in written:
        # match==value and assignment=value, as udev(7) has them
        assert re.fullmatch(r'(?:[A-Z]+(?:\{\w+\})?={1,2}"[^"]*"(?:, |$))+', rule), rule
        given = re.search(r'GROUP="([^"]+)"', rule)
        assert given is None or (given[1] in groups and 'MODE="0660"' in rule)
        # No grab covers hidraw, and the user whom Raspberry Pi OS makes is in "input", "i2c" and "gpio".
        assert ("hidraw" not in rule) or (given and given[1] == own)
    vendors = {int(vendor, 16) for vendor in re.findall(r'idVendor\}=="(\w+)"', "\n".join(written))}
    assert vendors == {MAGTEK.vendor}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    text = (PACKAGING / "blind-relay-reader.service").read_text()
    unit = tmp_path / "blind-relay-reader.service"
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "blind-relay-reader" in line]
    assert complaints == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_little_that_the_service_is_exposed_to(tmp_path: Path) -> None:
    unit = tmp_path / "blind-relay-reader.service"
    unit.write_text((PACKAGING / unit.name).read_text())
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=10", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr  # --threshold counts tenths: 1.0 of 10


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_clean(script: str) -> None:
    path = PACKAGING / script
    assert os.access(path, os.X_OK)
    shell = "bash" if script.endswith(".sh") else "sh"
    assert subprocess.run([shell, "-n", path], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-x", path], capture_output=True, text=True, check=False)
        assert done.stdout == ""


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the script is for Debian")
def test_a_dry_run_changes_nothing_and_names_all_it_would_do() -> None:
    done = subprocess.run(
        [PACKAGING / "install-reader.sh", "--dry-run"], capture_output=True, text=True, check=True, timeout=60
    )
    for part in (
        "venv",
        "/etc/udev/rules.d/",
        "/etc/systemd/system/",
        "reader.toml",
        "reader-peripheral enrol",
    ):
        assert part in done.stdout
    assert not done.stderr
    # The command of /usr/local/bin acts as this account, with the groups that it has of its own.
    unit = Unit(strict=False)
    unit.read(PACKAGING / "blind-relay-reader.service")
    groups = unit["Service"]["SupplementaryGroups"].replace(" ", r"\,")
    assert f"usermod --append --groups {groups} blind-relay" in done.stdout
    wrong = subprocess.run([PACKAGING / "install-reader.sh", "--dryrun"], capture_output=True, check=False)
    assert wrong.returncode == 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('kind = "lcd"\ni2c_bus = 99', "no display at I2C bus 99, address 0x27"),
        ('kind = "lcd"\ni2c_bus = 99\ni2c_address = 0x3f', "address 0x3F"),
        ('kind = "lcd-gpio"\ngpio_chip = "/dev/gpiochip99"', "lines on /dev/gpiochip99 cannot be used"),
        ('kind = "ssd1306"\nfont = "/nowhere.ttf"', "There is no font /nowhere.ttf"),
        ('kind = "lcd"\ncolumns = 17', "16 and 2, or 20 and 4"),
    ],
)
def test_a_display_that_is_not_there_is_told_in_words(
    settings: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "reader.toml"
    path.write_text(f"[display]\n{settings}\n")
    assert cli.main(["test-display", "--settings", str(path)]) == 1
    assert says in capsys.readouterr().err
