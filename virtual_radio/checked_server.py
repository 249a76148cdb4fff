"""Bumble's GATT server with what it leaves to the application: access is checked against the properties."""

from __future__ import annotations

from bumble import att
from bumble.device import Connection
from bumble.gatt import Characteristic
from bumble.gatt_server import Server

_NOTIFY = 0x01
_HEADER = 3


class CheckedServer(Server):
    """Refuses what a characteristic's properties do not offer, with the errors of Core 5.4, 3.F.3.4.1.1."""

    def on_att_read_request(self, bearer: att.Bearer, request: att.ATT_Read_Request) -> None:
        """Read, where READ is offered."""
        self._check(
            request.attribute_handle, Characteristic.Properties.READ, att.ATT_READ_NOT_PERMITTED_ERROR
        )
        super().on_att_read_request(bearer, request)

    def on_att_read_blob_request(self, bearer: att.Bearer, request: att.ATT_Read_Blob_Request) -> None:
        """Read on, where READ is offered."""
        self._check(
            request.attribute_handle, Characteristic.Properties.READ, att.ATT_READ_NOT_PERMITTED_ERROR
        )
        super().on_att_read_blob_request(bearer, request)

    def on_att_write_request(self, bearer: att.Bearer, request: att.ATT_Write_Request) -> None:
        """Write with response, where WRITE is offered."""
        self._check(
            request.attribute_handle, Characteristic.Properties.WRITE, att.ATT_WRITE_NOT_PERMITTED_ERROR
        )
        super().on_att_write_request(bearer, request)

    def on_att_prepare_write_request(
        self, bearer: att.Bearer, request: att.ATT_Prepare_Write_Request
    ) -> None:
        """Queue a part of a long write, where WRITE is offered."""
        self._check(
            request.attribute_handle, Characteristic.Properties.WRITE, att.ATT_WRITE_NOT_PERMITTED_ERROR
        )
        super().on_att_prepare_write_request(bearer, request)

    def on_att_write_command(self, bearer: att.Bearer, request: att.ATT_Write_Command) -> None:
        """Write without response, where that is offered; else it is dropped: a command has no answer."""
        attribute = self.get_attribute(request.attribute_handle)
        offered = Characteristic.Properties.WRITE_WITHOUT_RESPONSE
        if not isinstance(attribute, Characteristic) or not attribute.properties & offered:
            return
        super().on_att_write_command(bearer, request)

    def write_cccd(self, bearer: att.Bearer, characteristic: Characteristic[bytes], value: bytes) -> None:
        """Subscribe whoever is still there.

        Bumble handles a write in a task of its own. On a link that went down meanwhile it would subscribe the
        dead connection for good, and every value would go out twice to whoever comes next by the same handle.
        """
        if not self._is_gone(bearer):
            super().write_cccd(bearer, characteristic, value)

    def send_gatt_pdu(self, bearer: att.Bearer, pdu: bytes) -> None:
        """Send to whoever is still there: the next link may have the same handle."""
        if not self._is_gone(bearer):
            super().send_gatt_pdu(bearer, pdu)

    def notify_now(self, characteristic: Characteristic[bytes], value: bytes) -> None:
        """Notify every subscriber before returning, so that notifications keep their order."""
        for bearer, subscriptions in list(self.subscribers.items()):
            if subscriptions.get(characteristic.handle, b"\0")[0] & _NOTIFY:
                pdu = att.ATT_Handle_Value_Notification(
                    attribute_handle=characteristic.handle, attribute_value=value[: bearer.att_mtu - _HEADER]
                )
                self.send_gatt_pdu(bearer, bytes(pdu))

    def _is_gone(self, bearer: att.Bearer) -> bool:
        return isinstance(bearer, Connection) and self.device.connections.get(bearer.handle) is not bearer

    def _check(self, handle: int, offered: Characteristic.Properties, error: int) -> None:
        attribute = self.get_attribute(handle)
        if isinstance(attribute, Characteristic) and not attribute.properties & offered:
            raise att.ATT_Error(error, handle)
