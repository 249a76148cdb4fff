"""Bumble's virtual controller, with what it lacks of a radio: 251-byte packets and giving up a connection."""

from __future__ import annotations

import asyncio

from bumble import hci
from bumble.controller import Controller
from bumble.link import LocalLink

from virtual_radio.conditions import LINK_LAYER_PAYLOAD


class RadioController(Controller):
    """One radio's controller on a link."""

    def __init__(self, name: str, link: LocalLink, address: hci.Address) -> None:
        super().__init__(name, link=link, public_address=address)
        self.le_acl_data_packet_length = LINK_LAYER_PAYLOAD

    def on_hci_acl_data_packet(self, packet: hci.HCI_AclDataPacket) -> None:
        """Drop what is for a link that went down, of which the host has not heard yet."""
        if self.find_connection_by_handle(packet.connection_handle) is not None:
            super().on_hci_acl_data_packet(packet)

    def on_hci_le_create_connection_cancel_command(
        self, command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Stop waiting for the peer's advert, and say so: without this event the host waits for ever."""
        wanted, self.pending_le_connection = self.pending_le_connection, None
        if wanted is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=wanted.peer_address.address_type,
            peer_address=wanted.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        # After the answer to this command (Core 5.4, 4.E.7.8.13).
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)
