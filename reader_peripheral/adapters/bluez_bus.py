"""The radio's line to bluetoothd: calls that end, signals, and the news that the line itself is gone.

dbus-next 0.2.3 lets a call wait for ever when its reply never comes, and when its socket fails (D-Bus was
restarted; the socket is full) it falls silent: nobody hears of it who does not ask, and nothing can be sent
any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant

from reader_peripheral.adapters.bless_on_bluez import ANSWER_SECONDS, BLUEZ, BUS_TROUBLE, trouble_name

log = logging.getLogger(__name__)

ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_BUS = "org.freedesktop.DBus"


class BluezBus:
    """Calls to bluetoothd over a connected bus."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._gone = False

    async def ended(self) -> None:
        """Returns once nothing can be heard or said any more."""
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as problem:  # noqa: BLE001 - whatever the socket or the library met, it is the end
            log.info("D-Bus: %s", type(problem).__name__)
        self._gone = True
        # dbus-next leaves them open.
        self._bus._stream.close()
        self._bus._sock.close()

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None
    ) -> Message | None:
        """The reply; None when it is an error or does not come, which is logged by name."""
        if self._gone:
            return None
        message = Message(
            destination=BLUEZ,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body or [],
        )
        try:
            reply = await asyncio.wait_for(self._bus.call(message), ANSWER_SECONDS)
        except BUS_TROUBLE as problem:
            log.info("%s.%s: %s", interface, member, trouble_name(problem))
            return None
        if reply is None or reply.message_type is MessageType.ERROR:
            log.info("%s.%s: %s", interface, member, reply.error_name if reply else "no answer")
            return None
        return reply

    async def get(self, path: str, interface: str, name: str) -> Any:
        """A property, None where it cannot be read."""
        reply = await self.call(path, _PROPERTIES, "Get", "ss", [interface, name])
        return reply.body[0].value if reply is not None and reply.body else None

    async def set(self, path: str, interface: str, name: str, value: Variant) -> None:
        """Set a property; whether it is taken is seen by reading it."""
        await self.call(path, _PROPERTIES, "Set", "ssv", [interface, name, value])

    async def watch(self, adapter: str, on_signal: Callable[[Message], None]) -> None:
        """Hear of devices that come and go, and of bluetoothd and the adapter when they go."""

        def on_message(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL:
                on_signal(message)

        self._bus.add_message_handler(on_message)
        changed = f"sender='{BLUEZ}',interface='{_PROPERTIES}',member='PropertiesChanged'"
        objects = f"sender='{BLUEZ}',interface='{_BUS}.ObjectManager'"
        for rule in (
            f"{changed},path_namespace='{adapter}',arg0='{DEVICE}'",
            f"{changed},path='{adapter}',arg0='{ADAPTER}'",
            # A device that was never seen before is connected when it is told of first.
            f"{objects},member='InterfacesAdded',arg0path='{adapter}/'",
            f"{objects},member='InterfacesRemoved',arg0path='{adapter}'",
            f"sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
        ):
            match = Message(
                destination=_BUS,
                path="/org/freedesktop/DBus",
                interface=_BUS,
                member="AddMatch",
                signature="s",
                body=[f"type='signal',{rule}"],
            )
            await asyncio.wait_for(self._bus.call(match), ANSWER_SECONDS)

    def close(self) -> None:
        """Leave the bus: bluetoothd takes down what was registered there, also when half made."""
        if not self._gone:
            self._gone = True
            self._bus.disconnect()  # type: ignore[no-untyped-call]
