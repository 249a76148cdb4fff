"""One computer in QEMU: Debian's kernel, our disk, two USB keyboards that can be typed on, no network."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from tests.bluez.guest import Guest
from tests.bluez.guest_agent import PORT_NAME
from tests.bluez.image import ROOT, VENV, Image
from tests.journey.transcript import ProgramError

HERE: Final = Path(__file__).resolve().parent
GUEST_FILES: Final = (
    "guest_start.sh",
    "fast_swiper.py",
    "guest_agent.py",
    "memory_search.py",
    "stranger.py",
    "virtual_adapters.py",
)
INSTALL_PATIENCE: Final = 300.0
"""Seconds: pip compiles every module, and is to do so under any load."""
KEY_EDGE_SECONDS: Final = 0.015
"""Between pressing and releasing, as a USB magstripe reader types."""
_NAMES: Final = (
    *("spc", "slash", "semicolon", "equal", "minus", "dot", "comma"),
    *("apostrophe", "bracket_left", "bracket_right"),
)
_QCODES: Final = {
    **dict(zip(" /;=-.,'[]", _NAMES, strict=True)),
    "\n": "ret",
    "\x1b": "esc",
    "\b": "backspace",
}
_SHIFTED: Final = dict(zip('!@#$%^&*()?:+_"<>', "1234567890/;=-',.", strict=True))


class UsbKeyboard(StrEnum):
    """The keyboards, by the serial number that the guest sees as `uniq`."""

    MAGSTRIPE = "MAGSTRIPE0001"
    KEYPAD = "KEYPAD0001"


_PORTS: Final = {UsbKeyboard.MAGSTRIPE: ("magstripe", "1"), UsbKeyboard.KEYPAD: ("keypad", "2")}


class Machine:
    """QEMU while it runs. Use as a context manager."""

    def __init__(self, image: Image, memory_mib: int = 1536) -> None:
        # A path of its own: socket addresses hold 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.console = self._folder / "console.log"
        self._began = time.monotonic()
        _pack_luggage(self._folder)
        with (self._folder / "qemu.log").open("w") as log:
            self._process = subprocess.Popen(
                # It shall not outlive a test run that is killed.
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    "nice",
                    "-n",
                    "5",
                    *_qemu(image, self._folder, memory_mib),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._channels: list[_Monitor | Guest] = []
        try:
            self._monitor = _Monitor(self._wait_for(self._folder / "qmp.sock"))
            self._channels.append(self._monitor)
            self.guest = Guest(self._wait_for(self._folder / "agent.sock"))
            self._channels.append(self.guest)
            self.guest.wait_until_ready()
        except BaseException:
            sys.stderr.write(self.last_words())
            self.close()
            raise
        self.boot_seconds = time.monotonic() - self._began
        """By this machine's clock, from QEMU's start to the agent's first word."""
        self.install_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def install(self) -> None:
        """Install the four programs as a user does, from the wheel that came along."""
        began = time.monotonic()
        pip = f"{VENV}/bin/pip install --quiet --no-index --no-deps /luggage/*.whl"
        assert self.guest.start("pip install", "sh", "-c", pip).finish(INSTALL_PATIENCE) == 0
        self.install_seconds = time.monotonic() - began

    def type_on(self, keyboard: UsbKeyboard, text: str, edge: float = KEY_EDGE_SECONDS) -> None:
        """Type on a USB keyboard, US key map. The keypad has the number block's keys."""
        for character in text:
            keys = _keypad_keys(character) if keyboard is UsbKeyboard.KEYPAD else _keys(character)
            for key in keys:
                self._monitor.key(_PORTS[keyboard][0], key, True)
            time.sleep(edge)
            for key in reversed(keys):
                self._monitor.key(_PORTS[keyboard][0], key, False)
            time.sleep(edge)

    def unplug(self, keyboard: UsbKeyboard) -> None:
        """Pull the keyboard's plug."""
        self._monitor.do("device_del", id=_PORTS[keyboard][0])

    def plug(self, keyboard: UsbKeyboard) -> None:
        """Put it back into the same port."""
        name, port = _PORTS[keyboard]
        self._monitor.do(
            *("device_add",),
            driver="usb-kbd",
            id=name,
            bus="usb.0",
            port=port,
            serial=keyboard.value,
            display=f"head-{name}",
        )

    def last_words(self) -> str:
        """The end of what QEMU and the kernel said."""
        texts = []
        for path in (self._folder / "qemu.log", self.console):
            if path.exists():
                texts.append(f"===== {path.name} =====\n{path.read_text(errors='replace')[-6000:]}\n")
        return "".join(texts)

    def close(self) -> None:
        """Pull the computer's plug: its disk keeps nothing anyway."""
        self._process.kill()
        self._process.wait()
        for channel in self._channels:
            channel.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_for(self, address: Path) -> Path:
        until = time.monotonic() + 30
        while not address.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                raise ProgramError("QEMU did not start")
            time.sleep(0.05)
        return address


class _Monitor:
    """QEMU's monitor protocol (QMP), as far as it is needed here."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(address))
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: Any) -> Any:
        """Run a command and give its answer."""
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        for line in self._lines:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise ProgramError(f"QEMU refused {command}: {answer['error'].get('desc')}")
        raise ProgramError(f"QEMU ended at {command}")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def key(self, keyboard: str, key: str, down: bool) -> None:
        event = {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}
        self.do("input-send-event", device=f"head-{keyboard}", head=0, events=[event])


def _qemu(image: Image, folder: Path, memory_mib: int) -> Sequence[str]:
    return [
        *("qemu-system-x86_64", "-machine", "pc,i8042=off", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-smp", "2", "-m", str(memory_mib), "-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initial)),
        *("-append", "console=ttyS0 loglevel=4 mitigations=off random.trust_cpu=on panic=-1"),
        # What the guest writes is thrown away.
        *("-drive", f"file={image.disk},if=virtio,format=raw,snapshot=on"),
        *("-drive", f"file={folder / 'luggage.tar'},if=virtio,format=raw,readonly=on"),
        *("-serial", f"file:{folder / 'console.log'}"),
        *("-qmp", f"unix:{folder / 'qmp.sock'},server=on,wait=off"),
        *("-chardev", f"socket,id=agent,path={folder / 'agent.sock'},server=on,wait=off"),
        *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={PORT_NAME}"),
        # A head for each keyboard, only so that each can be typed on by its own address.
        *("-device", "VGA,id=head-magstripe", "-device", "secondary-vga,id=head-keypad"),
        *("-device", "qemu-xhci,id=usb"),
        *("-device", _keyboard_device(UsbKeyboard.MAGSTRIPE)),
        *("-device", _keyboard_device(UsbKeyboard.KEYPAD)),
    ]


def _keyboard_device(keyboard: UsbKeyboard) -> str:
    name, port = _PORTS[keyboard]
    return f"usb-kbd,id={name},bus=usb.0,port={port},serial={keyboard.value},display=head-{name}"


def _keys(character: str) -> list[str]:
    if character in _SHIFTED:
        return ["shift", *_keys(_SHIFTED[character])]
    if character.isascii() and character.isalnum():
        return ["shift", character.lower()] if character.isupper() else [character]
    return [_QCODES[character]]


def _keypad_keys(character: str) -> list[str]:
    named = {
        "\n": "kp_enter",
        "\b": "backspace",
        "\x1b": "esc",
        ".": "kp_decimal",
        "+": "kp_add",
        "-": "kp_subtract",
    }
    return [f"kp_{character}" if character.isdigit() else named[character]]


def _pack_luggage(folder: Path) -> None:
    """The second disk: the guest's own scripts and our wheel, as a tar archive."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, source / name)
        for package in ROOT.glob("*/__init__.py"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(package.parent, source / package.parent.name, ignore=ignored)
        build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
        subprocess.run([*build, "--wheel-dir", scratch, str(source)], check=True)
        with tarfile.open(folder / "luggage.tar", "w") as archive:
            for name in GUEST_FILES:
                archive.add(HERE / name, name)
            for wheel in Path(scratch).glob("*.whl"):
                archive.add(wheel, wheel.name)
