"""[swiper] and [keypad] of the settings file: read, refused in words, written by `learn`, made devices."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InputError
from reader_peripheral.adapters.evdev_keypad import EvdevKeypad
from reader_peripheral.adapters.evdev_swipe import EvdevSwiper
from reader_peripheral.adapters.gpio_keypad import GpioKeypad
from reader_peripheral.adapters.magtek_hid import MagtekSwiper
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.devices import input_devices
from reader_peripheral.input_settings import KeypadKind, KeypadSettings, SwiperKind, SwiperSettings
from reader_peripheral.ports import Key
from reader_peripheral.settings import BluetoothSettings, ReaderSettings, read_settings
from reader_peripheral.settings_edit import with_values

WHOLE = """
[bluetooth]
adapter = "hci1"
encrypt = true

[swiper]
kind = "keyboard"
vendor = 0x0801
product = 0x0001
uniq = "B1"
port = "usb-1/input0"
idle_seconds = 1
check_digit = false
track2_sentinel = "_"

[keypad]
kind = "gpio"
chip = "/dev/gpiochip4"
row_lines = [5, 6, 13, 19]
column_lines = [12, 16, 20]
layout = ["1 2 3", "4 5 6", "7 8 9", "cancel 0 enter"]
cancel = ["KEY_ESC", "59"]
"""


def read(tmp_path: Path, text: str) -> ReaderSettings:
    path = tmp_path / "reader.toml"
    path.write_text(text)
    return read_settings(path)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE)
    assert settings.bluetooth == BluetoothSettings(adapter="hci1", encrypt=True)
    assert settings.swiper.kind is SwiperKind.KEYBOARD
    assert settings.swiper.device.vendor == 0x801
    assert settings.swiper.device.port == "usb-1/input0"
    assert (settings.swiper.idle_seconds, settings.swiper.check_digit) == (1.0, False)
    assert settings.swiper.sentinels.track2 == "_"
    assert settings.keypad.chip == "/dev/gpiochip4"
    assert settings.keypad.keys[59] is Key.CANCEL
    assert settings.keypad.printed.keys[(3, 2)] is Key.ENTER  # type: ignore[index]


def test_without_a_file_everything_is_the_terminal() -> None:
    settings = read_settings(None)
    assert settings.swiper == SwiperSettings()
    assert settings.swiper.kind is SwiperKind.TERMINAL
    assert settings.keypad.kind is KeypadKind.TERMINAL


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[swiper]\nkind = "keyboard"', "reader-peripheral learn swiper"),
        ('[keypad]\nkind = "keyboard"', "reader-peripheral learn keypad"),
        ('[swiper]\nkind = "keybord"', "Did you mean keyboard"),
        ("[swiper]\nvendor = 0x10000", "0xFFFF"),
        ('[swiper]\nvendor = "0801"', "whole number"),
        ("[swiper]\nidle_seconds = 0", "idle_seconds"),
        ('[swiper]\nend_sentinel = ";"', "Sentinels"),
        ('[swiper]\nend_sentinel = "A"', "Sentinels"),
        ('[keypad]\nenter = ["KEY_RETURN"]', "KEY_RETURN"),
        ('[keypad]\nenter = ["9999"]', "9999"),
        ('[keypad]\nenter = ["KEY_ESC"]', "two keys at once"),
        ('[bluetooth]\nadapter = "usb0"', "hci0"),
        ('[bluetooth]\nencrypt = "yes"', "true or false"),
        ("[keypad]\ncancel = []", "cancel each need a key"),
        ('[keypad]\nkind = "gpio"', "row_lines"),
        ('[keypad]\nkind = "gpio"\nrow_lines = [1, 2]\ncolumn_lines = [2, 3]', "each once"),
        ('[keypad]\nkind = "gpio"\nrow_lines = [1, 2]\ncolumn_lines = [4, 3]', "layout"),
    ],
)
def test_what_is_wrong_is_said_with_its_section(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=r"reader\.toml") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert text[: text.index("]") + 1] in str(caught.value)


def test_each_kind_makes_its_device() -> None:
    terminal = TerminalInput(os.open(os.devnull, os.O_RDONLY))
    keyboard = SwiperSettings(SwiperKind.KEYBOARD, vendor=1)
    pad = KeypadSettings(KeypadKind.KEYBOARD, vendor=2)
    wires = KeypadSettings(KeypadKind.GPIO, row_lines=(1, 2, 3, 4), column_lines=(5, 6, 7))
    kinds = [
        tuple(type(device) for device in input_devices(swiper, keypad, terminal))
        for swiper, keypad in (
            (keyboard, pad),
            (SwiperSettings(SwiperKind.MAGTEK_HID), wires),
            (keyboard, KeypadSettings()),
        )
    ]
    assert kinds == [(EvdevSwiper, EvdevKeypad), (MagtekSwiper, GpioKeypad), (EvdevSwiper, TerminalInput)]
    assert input_devices(SwiperSettings(), KeypadSettings(), terminal) == (terminal.swiper, terminal)
    os.close(terminal._descriptor)


def test_devices_that_do_not_go_together_are_refused() -> None:
    terminal = TerminalInput(0)
    with pytest.raises(InputError, match="goes with"):
        input_devices(SwiperSettings(), KeypadSettings(KeypadKind.KEYBOARD, vendor=1), terminal)
    same = SwiperSettings(SwiperKind.KEYBOARD, vendor=1), KeypadSettings(KeypadKind.KEYBOARD, vendor=1)
    with pytest.raises(InputError, match="same device"):
        input_devices(*same, terminal)


def test_writing_changes_its_section_and_nothing_else() -> None:
    before = (
        '# the till by the door\n[display]\nkind = "ssd1306"\n\n[swiper] # left\nkind = "terminal"\n'
        'port = "old"\nidle_seconds = 1.0 # slow\n[keypad]\nvendor = 9\n'
    )
    after = with_values(before, "swiper", {"kind": "keyboard", "vendor": 2049, "uniq": "A", "port": None})
    assert after == (
        '# the till by the door\n[display]\nkind = "ssd1306"\n\n[swiper]\nkind = "keyboard"\nvendor = 2049\n'
        'uniq = "A"\nidle_seconds = 1.0 # slow\n[keypad]\nvendor = 9\n'
    )
    assert with_values("", "keypad", {"vendor": 1}) == "[keypad]\nvendor = 1\n"
    assert (
        with_values("[display]\nrows = 2", "keypad", {"vendor": 1})
        == "[display]\nrows = 2\n\n[keypad]\nvendor = 1\n"
    )


def test_a_file_that_cannot_be_followed_is_left_to_its_owner() -> None:
    with pytest.raises(InputError, match='by hand, under \\[swiper\\]:\nkind = "keyboard"'):
        with_values('swiper = { kind = "terminal" }\n', "swiper", {"kind": "keyboard"})


@given(st.text(max_size=40))
def test_whatever_a_device_calls_itself_is_written_as_it_is(name: str) -> None:
    try:
        written = with_values('[swiper]\nkind = "terminal"\n', "swiper", {"uniq": name})
    except InputError:
        assert any(0xD800 <= ord(character) < 0xE000 for character in name)  # not a character in TOML
        return
    assert tomllib.loads(written) == {"swiper": {"kind": "terminal", "uniq": name}}
