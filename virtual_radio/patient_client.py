"""Bumble's GATT client, without its trips over the answer to a request that nobody waits for any more."""

from __future__ import annotations

from bumble import att
from bumble.gatt_client import Client


class PatientClient(Client):
    """When the task that sent a request was cancelled, Bumble 0.0.236 still sets that request's future."""

    def on_gatt_pdu(self, att_pdu: att.ATT_PDU) -> None:
        """Drop the answer that comes after the cancellation: the link is about to be given up."""
        waited_for = self.pending_response is not None and not self.pending_response.done()
        if waited_for or att_pdu.op_code not in att.ATT_RESPONSES:
            super().on_gatt_pdu(att_pdu)
