"""The swiper and the keypad that the settings ask for, each imported when it is: their libraries differ."""

from __future__ import annotations

from protocol.errors import InputError
from reader_peripheral.adapters.terminal import TerminalInput
from reader_peripheral.input_settings import KeypadKind, KeypadSettings, SwiperKind, SwiperSettings
from reader_peripheral.ports import Keypad, Swiper
from reader_peripheral.remedies import install_extra, ours


def input_devices(
    swiper: SwiperSettings, keypad: KeypadSettings, terminal: TerminalInput
) -> tuple[Swiper, Keypad]:
    """Both devices, not yet opened. Raises InputError (invalid_settings) for two that do not go together."""
    if swiper.kind is SwiperKind.TERMINAL and keypad.kind is not KeypadKind.TERMINAL:
        raise InputError(
            "invalid_settings",
            '[swiper] kind "terminal" goes with [keypad] kind "terminal" alone: one input for both.',
        )
    if swiper.kind is not SwiperKind.TERMINAL and swiper.device and swiper.device == keypad.device:
        raise InputError(
            "invalid_settings",
            f"[swiper] and [keypad] are the same device. Run: {ours('learn', root=True)}",
        )
    return _swiper(swiper, terminal), _keypad(keypad, terminal)


def _swiper(settings: SwiperSettings, terminal: TerminalInput) -> Swiper:
    match settings.kind:
        case SwiperKind.TERMINAL:
            return terminal.swiper
        case SwiperKind.KEYBOARD:
            from reader_peripheral.adapters.evdev_swipe import EvdevSwiper

            return EvdevSwiper(settings)
        case SwiperKind.MAGTEK_HID:
            from reader_peripheral.adapters.magtek_hid import MagtekSwiper

            return MagtekSwiper(settings)


def _keypad(settings: KeypadSettings, terminal: TerminalInput) -> Keypad:
    match settings.kind:
        case KeypadKind.TERMINAL:
            return terminal
        case KeypadKind.KEYBOARD:
            from reader_peripheral.adapters.evdev_keypad import EvdevKeypad

            return EvdevKeypad(settings)
        case KeypadKind.GPIO:
            try:
                from reader_peripheral.adapters.gpio_keypad import GpioKeypad
            except ModuleNotFoundError:
                raise InputError(
                    "invalid_settings",
                    f'[keypad] kind "gpio" needs gpiod. {install_extra("reader")}',
                ) from None
            return GpioKeypad(settings)
