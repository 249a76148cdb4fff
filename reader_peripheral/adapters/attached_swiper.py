"""What the USB swipers share: a swiper that types, behind a device that comes and goes."""

from __future__ import annotations

from collections.abc import Callable

from reader_peripheral.adapters.attached_device import AttachedDevice
from reader_peripheral.adapters.wedge_swipe import WedgeSwiper
from reader_peripheral.ports import SwipeResult


class AttachedSwiper(WedgeSwiper):
    """Holds its device from opening to closing; who derives from it sets `_device`."""

    _device: AttachedDevice

    async def open(self, on_swipe: Callable[[SwipeResult], None]) -> None:
        """Take the device, now or as soon as it is plugged in."""
        await super().open(on_swipe)
        self._device.start()

    async def close(self) -> None:
        """Give the device back."""
        self._device.stop()
        await super().close()
