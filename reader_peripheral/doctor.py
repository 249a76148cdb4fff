"""`reader-peripheral doctor`: what on this machine keeps the reader from working, each with its remedy.

The checks look at files below a root and ask a few commands; both come from `Machine`, so that a test can set
up a machine. What needs D-Bus is in adapters/bluez_inspection.py.
"""

from __future__ import annotations

import errno
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from reader_peripheral.input_settings import KeypadKind, SwiperKind
from reader_peripheral.remedies import (
    SERVICE,
    SERVICE_ACCOUNT,
    guide,
    install_extra,
    let_use,
    ours,
)
from reader_peripheral.settings import DisplayKind, ReaderSettings
from service_host.findings import Finding, Level
from service_host.machine import AnyMachine

_RESTART = f"sudo systemctl restart {SERVICE}"
# What was tried with bless 0.3.0; older ones may work.
OLDEST_BLUETOOTHD = (5, 66)


class Machine(AnyMachine):
    """The machine looked at: files below `root`, commands by `run`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """An absolute path on that machine."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """A file's text, None where it cannot be read."""
        try:
            return self.path(name).read_text("utf-8", "replace")
        except OSError:
            return None

    def usable(self, path: Path) -> bool:
        """Whether this user may read and write it."""
        return os.access(path, os.R_OK | os.W_OK)


def system(machine: Machine) -> Iterator[Finding]:
    """Operating system and Python."""
    release = re.search(r'^PRETTY_NAME="?([^"\n]*)', machine.text("/etc/os-release") or "", re.MULTILINE)
    name = release[1] if release else platform.system()
    seen = f"{name}, {platform.machine()}, Python {platform.python_version()}"
    if platform.system() != "Linux":
        remedy = "Use Linux for Bluetooth and devices; here, run with --radio virtual-serve:127.0.0.1:7901."
        yield Finding("system", Level.FAULT, seen, remedy)
    else:
        yield Finding("system", Level.OK, seen)
    yield Finding("clock", Level.OK, "not needed: the reader's own nonce makes an offer fresh")


def console(machine: Machine, settings: ReaderSettings) -> Iterator[Finding]:
    """A login prompt takes what an ungrabbed swiper types."""
    if settings.swiper.kind is not SwiperKind.KEYBOARD:
        yield Finding("console", Level.OK, "the swiper does not type")
        return
    getty = machine.run("systemctl", "is-active", "getty@tty1.service")
    if getty == "active":
        yield Finding(
            "console",
            Level.NOTE,
            "getty runs on tty1: a swipe made while the reader is stopped is typed into its login prompt",
            "If nobody logs in at this machine's own screen, run: sudo systemctl disable --now getty@tty1",
        )
    elif getty:
        yield Finding("console", Level.OK, "no login prompt on tty1")
    else:
        yield Finding("console", Level.UNKNOWN, "systemd does not run here")


def radio_switch(machine: Machine) -> Iterator[Finding]:
    """rfkill: airplane mode, and Raspberry Pi OS before a country is set."""
    switches = sorted(machine.path("/sys/class/rfkill").glob("rfkill*"))
    blocked = []
    for switch in switches:
        if (_word(switch / "type"), _word(switch / "hard")) == ("bluetooth", "1"):
            blocked.append("by a switch on the machine")
        elif (_word(switch / "type"), _word(switch / "soft")) == ("bluetooth", "1"):
            blocked.append("by rfkill")
    if blocked:
        remedy = "Run: sudo rfkill unblock bluetooth"
        yield Finding("radio switch", Level.FAULT, f"Bluetooth is switched off {blocked[0]}", remedy)


def bonding(machine: Machine, settings: ReaderSettings) -> Iterator[Finding]:
    """Whether phones must be paired, and bluetoothd's KeySize: the shortest link key that is then enough."""
    if not settings.bluetooth.encrypt:
        seen = "not asked for; no payment depends on the link's encryption"
        yield Finding("link encryption", Level.OK, seen)
        return
    text = machine.text("/etc/bluetooth/main.conf") or ""
    set_to = re.search(r"^\s*KeySize\s*=\s*(\d+)", text, re.MULTILINE)
    if set_to is not None and int(set_to[1]) == 16:
        yield Finding("link encryption", Level.OK, "asked for, with link keys of 16 bytes")
    else:
        yield Finding(
            "link encryption",
            Level.NOTE,
            f"asked for, with link keys of {set_to[1] if set_to else 'any number of'} bytes",
            "Set KeySize = 16 under [GATT] in /etc/bluetooth/main.conf.",
        )


def memory(machine: Machine) -> Iterator[Finding]:
    """Whether card data could reach a disk: locked memory, core dumps, swap. Of the service where it runs."""
    pid = machine.run("systemctl", "show", "--property=MainPID", "--value", SERVICE)
    runs = bool(pid) and pid != "0"
    limits = machine.text(f"/proc/{pid if runs else 'self'}/limits")
    whose = "the service" if runs else "a reader started from this shell"
    if limits is None:
        yield Finding(
            "memory", Level.UNKNOWN, "the limits of the service cannot be read", "Run doctor with sudo."
        )
        return
    locked, core = _limit(limits, "Max locked memory"), _limit(limits, "Max core file size")
    swaps = [line.split()[0] for line in (machine.text("/proc/swaps") or "").splitlines()[1:] if line]
    if locked == "unlimited":
        yield Finding("memory", Level.OK, f"{whose} may lock its memory: nothing of it is swapped")
    elif not swaps:
        yield Finding("memory", Level.OK, f"{whose} may not lock its memory, and there is no swap")
    else:
        yield Finding(
            "memory",
            Level.NOTE,
            f"{whose} may not lock its memory, and there is swap ({', '.join(swaps)})",
            "Run it as the service (LimitMEMLOCK=infinity), or switch swap off: sudo swapoff -a",
        )
    if runs and core != "0":
        remedy = f"Put LimitCORE=0 back into the unit, then: {_RESTART}"
        yield Finding(
            "core dumps", Level.FAULT, "the service may dump core: card data could reach a disk", remedy
        )
    else:
        yield Finding("core dumps", Level.OK, "the reader forbids its own")


def inputs(machine: Machine, settings: ReaderSettings) -> Iterator[Finding]:
    """Swiper and keypad: plugged in, permitted, free to grab."""
    from reader_peripheral.adapters.input_events import InputNode, listed_devices

    for what, section in (("swiper", settings.swiper), ("keypad", settings.keypad)):
        if section.kind in (SwiperKind.TERMINAL, KeypadKind.TERMINAL):
            remedy = f"With a device plugged in, run: {ours(f'learn {what}', root=True)}"
            yield _terminal(machine, what, remedy)
            continue
        if section.kind not in (SwiperKind.KEYBOARD, KeypadKind.KEYBOARD):
            continue
        found = [
            listed
            for listed in listed_devices(machine.path("/sys"), machine.path("/dev"))
            if listed.types and section.device.matches(listed.identity)
        ]
        if not found:
            remedy = f"Plug it in, or if it is another one now, run: {ours(f'learn {what}', root=True)}"
            yield Finding(what, Level.FAULT, f"{section.device} is not there", remedy)
            continue
        if len(found) > 1:
            remedy = f"Tell them apart by port: {ours(f'learn {what}', root=True)}"
            yield Finding(what, Level.FAULT, f"{len(found)} devices are {section.device}", remedy)
            continue
        try:
            InputNode(found[0].node).close()
        except PermissionError:
            remedy = let_use(found[0].node, "input")
            yield Finding(what, Level.FAULT, f"{found[0].node} may not be read by this user", remedy)
        except OSError as problem:
            busy = problem.errno == errno.EBUSY
            if busy and machine.run("systemctl", "is-active", SERVICE) == "active":
                yield Finding(what, Level.OK, f"{found[0].node}, grabbed by the running service")
            else:
                remedy = "Stop the program that has it: sudo fuser -v " + str(found[0].node)
                yield Finding(
                    what, Level.FAULT, f"{found[0].node} cannot be grabbed: {problem.strerror}", remedy
                )
        else:
            yield Finding(what, Level.OK, f"{found[0].node} can be grabbed")


def raw_devices(machine: Machine, settings: ReaderSettings) -> Iterator[Finding]:
    """Nodes that are used without a driver's help: hidraw of MagTek, GPIO, I2C."""
    if settings.swiper.kind is SwiperKind.MAGTEK_HID:
        from reader_peripheral.adapters.magtek_hid import MAGTEK, listed_hidraws

        nodes = [
            node
            for node, identity in listed_hidraws(machine.path("/sys"), machine.path("/dev"))
            if MAGTEK.matches(identity)
        ]
        if nodes:
            yield _node(machine, "swiper", str(nodes[0]), SERVICE_ACCOUNT)
        else:
            learn = ours("learn swiper", root=True)
            remedy = f"Plug it in; in keyboard mode it is another kind: {learn}"
            yield Finding("swiper", Level.FAULT, "no MagTek reader in HID mode is there", remedy)
    if settings.keypad.kind is KeypadKind.GPIO:
        yield _node(machine, "keypad", settings.keypad.chip, "gpio")
    display = settings.display
    if display.kind is DisplayKind.LCD_GPIO:
        yield _node(machine, "display", display.gpio_chip, "gpio")
    elif display.kind is DisplayKind.TERMINAL:
        remedy = f"With a display wired, set `kind` under [display] in the settings, as in {guide()}"
        yield _terminal(machine, "display", remedy)
    else:
        node = _node(machine, "display", f"/dev/i2c-{display.i2c_bus}", "i2c")
        if not machine.path(f"/dev/i2c-{display.i2c_bus}").exists():
            remedy = "Run: sudo raspi-config nonint do_i2c 0 && sudo modprobe i2c-dev"
            node = Finding("display", Level.FAULT, f"I2C bus {display.i2c_bus} is off", remedy)
        yield node


def font(settings: ReaderSettings) -> Iterator[Finding]:
    """An OLED draws its letters from a font."""
    if settings.display.kind not in (DisplayKind.SSD1306, DisplayKind.SH1106):
        return
    try:
        from reader_peripheral.adapters.oled_picture import find_font
    except ModuleNotFoundError as problem:
        yield Finding("font", Level.FAULT, f"{problem.name} is not installed", install_extra("reader"))
        return
    from reader_peripheral.paged_display import DisplayError

    try:
        yield Finding("font", Level.OK, str(find_font(settings.display.font)))
    except DisplayError as problem:
        yield Finding("font", Level.FAULT, "none that can be used", str(problem))


def _terminal(machine: Machine, what: str, remedy: str) -> Finding:
    """Good for trying things; a service has no terminal."""
    if machine.run("systemctl", "is-enabled", SERVICE) == "enabled":
        return Finding(what, Level.FAULT, "none is set, and the service has no terminal to be one", remedy)
    return Finding(what, Level.NOTE, "is this terminal", remedy)


def _node(machine: Machine, what: str, node: str, group: str) -> Finding:
    path = machine.path(node)
    if not path.exists():
        return Finding(what, Level.FAULT, f"{node} is not there", f"Check [{what}] in the settings.")
    if not machine.usable(path):
        remedy = let_use(path, group)
        return Finding(what, Level.FAULT, f"{node} may not be used by this user", remedy)
    return Finding(what, Level.OK, node)


def _word(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _limit(limits: str, name: str) -> str:
    """The soft limit in the text of /proc/PID/limits."""
    line = re.search(rf"^{name}\s+(\S+)", limits, re.MULTILINE)
    return line[1] if line else ""


def bluetoothd_version(machine: Machine) -> Iterator[Finding]:
    """bluetoothctl comes from the same package as bluetoothd, which does not tell its own."""
    said = machine.run("bluetoothctl", "--version")
    number = re.search(r"(\d+)\.(\d+)", said or "")
    if number is None:
        yield Finding("bluetoothd", Level.FAULT, "BlueZ is not installed", "Run: sudo apt install bluez")
    elif (int(number[1]), int(number[2])) < OLDEST_BLUETOOTHD:
        oldest = ".".join(map(str, OLDEST_BLUETOOTHD))
        remedy = f"Use Debian 12 or later: nothing older than BlueZ {oldest} was tried."
        yield Finding("bluetoothd", Level.NOTE, f"BlueZ {number[0]}", remedy)
    else:
        yield Finding("bluetoothd", Level.OK, f"BlueZ {number[0]}")
