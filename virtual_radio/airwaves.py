"""Bumble's link between virtual controllers, with delay, loss, supervision timeout and a limited range."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bumble import att, core, hci, ll
from bumble.controller import Connection, Controller
from bumble.link import LocalLink

from virtual_radio.conditions import Air, RadioConditions

_L2CAP_HEADER = 4


@dataclass(slots=True)
class _Path:
    """What is on its way from one end of a connection to the other."""

    source: Connection
    air: Air
    waiting: deque[tuple[float, Callable[[], None]]] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class Airwaves(LocalLink):
    """Carries advertising, data and control packets between the controllers of one ether.

    It differs from Bumble's LocalLink where that falls short of a radio: the sender is the address that the
    connection was made with, nothing is delivered to a connection made later, and a connection that the
    other side did not take fails.
    """

    def __init__(self, conditions: RadioConditions) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.in_range = True
        self._conditions = conditions
        self._began: float | None = None
        self._chance = random.Random(conditions.seed)  # noqa: S311 - a model of the weather, no secret
        self._paths: dict[int, _Path] = {}

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Advertising, and the central's request to connect."""
        if self.in_range:
            super().send_advertising_pdu(sender_controller, packet)
        if isinstance(packet, ll.ConnectInd):
            asyncio.get_running_loop().call_soon(self._check_established, sender_controller, packet)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """One L2CAP PDU of a connection."""
        if transport is not core.PhysicalTransport.LE:
            raise ValueError("the virtual radio speaks LE only")
        source = sender_controller.le_connections.get(destination_address)
        target = self._other_end(source)
        if source is None or target is None:
            return  # the link went down with this in the queue
        path = self._path(source)
        if _is_notification(data) and path.air.notification_vanishes():
            return
        self._carry(
            source,
            len(data),
            lambda: target.controller.on_link_acl_data(source.self_address, transport, data),
        )

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """A link layer message; it keeps its place behind the data sent before."""
        source = next(
            (
                connection
                for controller in self.controllers
                if (connection := controller.le_connections.get(receiver_address))
                and connection.self_address == sender_address
            ),
            None,
        )
        target = self._other_end(source)
        if source is None or target is None:
            return
        self._carry(source, 0, lambda: target.controller.on_ll_control_pdu(source.self_address, packet))

    def cut(self) -> None:
        """Every link is lost now, as after the supervision timeout."""
        for controller in self.controllers:
            self.lose(controller)

    def lose(self, controller: Controller) -> None:
        """Both ends of every link of one controller notice that the other is gone."""
        for connection in list(controller.le_connections.values()):
            self._time_out(connection)

    def remove_controller(self, controller: Controller) -> None:
        """A radio is switched off without a word."""
        controller.le_scan_enable = False
        controller.pending_le_connection = None
        controller.le_legacy_advertiser.stop()
        for advertising_set in controller.advertising_sets.values():
            advertising_set.stop()
        self.lose(controller)
        super().remove_controller(controller)

    def _check_established(self, central: Controller, request: ll.ConnectInd) -> None:
        """A central hears nothing after its request when the advertiser has stopped or took another."""
        connection = central.le_connections.get(request.advertiser_address)
        if connection is not None and self._other_end(connection) is None:
            self._drop_if_there(connection, hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR)

    def _time_out(self, connection: Connection) -> None:
        reason = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
        target = self._other_end(connection)
        self._drop_if_there(connection, reason)
        if target is not None:
            self._drop_if_there(target, reason)

    def _drop_if_there(self, connection: Connection, reason: int) -> None:
        if connection.controller.le_connections.get(connection.peer_address) is connection:
            connection.controller.on_le_disconnected(connection, reason)
        path = self._paths.pop(id(connection), None)
        if path and path.timer:
            path.timer.cancel()

    def _other_end(self, connection: Connection | None) -> Connection | None:
        if connection is None:
            return None
        for controller in self.controllers:
            if controller is connection.controller:
                continue
            other = controller.le_connections.get(connection.self_address)
            if other is not None and other.self_address == connection.peer_address:
                return other
        return None

    def _path(self, source: Connection) -> _Path:
        path = self._paths.get(id(source))
        if path is None or path.source is not source:
            self._forget_closed()
            air = Air(self._conditions, self._chance, self._first_event())
            path = self._paths[id(source)] = _Path(source, air)
        return path

    def _first_event(self) -> float:
        """When the air's events began. Both directions of a link share them, as real ones do."""
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        return self._began

    def _forget_closed(self) -> None:
        """A connection closed in order leaves its path behind, for a last packet that is still on the way."""
        for key, path in list(self._paths.items()):
            source = path.source
            if not path.waiting and source.controller.le_connections.get(source.peer_address) is not source:
                del self._paths[key]

    def _carry(self, source: Connection, size: int, deliver: Callable[[], None]) -> None:
        """Deliver when the packet is heard, in order, and only while the connection is still the same."""
        loop = asyncio.get_running_loop()
        path, target = self._path(source), self._other_end(source)
        heard = path.air.arrival(size, loop.time())
        if heard is None:
            loop.call_soon(self._time_out, source)
            return

        def deliver_if_there() -> None:
            if target and target.controller.le_connections.get(target.peer_address) is target:
                deliver()

        if not self._conditions.connection_interval:
            loop.call_soon(deliver_if_there)
            return
        path.waiting.append((heard, deliver_if_there))
        if path.timer is None:
            path.timer = loop.call_at(heard, self._arrive, path)

    def _arrive(self, path: _Path) -> None:
        loop = asyncio.get_running_loop()
        path.timer = None
        while path.waiting and path.waiting[0][0] <= loop.time():
            path.waiting.popleft()[1]()
        if path.waiting:
            path.timer = loop.call_at(path.waiting[0][0], self._arrive, path)


def _is_notification(pdu: bytes) -> bool:
    channel = int.from_bytes(pdu[2:_L2CAP_HEADER], "little")
    opcode = pdu[_L2CAP_HEADER : _L2CAP_HEADER + 1]
    return channel == att.ATT_CID and opcode == bytes([att.Opcode.ATT_HANDLE_VALUE_NOTIFICATION])
