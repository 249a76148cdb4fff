"""What the telling calls things: relayed messages, the issuer's deeds, the phone's notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handset_client.effects import NoticeKind
from protocol.messages import MessageType

RELAYED: Final[Mapping[MessageType, tuple[str, str]]] = {
    MessageType.KEY_OFFER: ("key, shop, price, order, signed", "204 S34"),
    MessageType.CARD_ENVELOPE: ("the card, sealed", "S36 S37"),
    MessageType.PIN_REQUEST: ("please ask for the PIN, signed", "S16 S39"),
    MessageType.PIN_ENVELOPE: ("the PIN, sealed", "S41 S42"),
    MessageType.REFUSAL: ("a refusal, signed by the reader", ""),
    MessageType.OUTCOME: ("the outcome, signed", "S24 S38"),
}

ISSUER_DOES: Final[Mapping[str, tuple[str, str]]] = {
    "phone_reached": ("knows shop and phone (tables 31 and 32)", "S2 S3"),
    "reader_accepted": ("knows the reader, makes a key pair for this payment alone", "203 S6"),
    "funds_held": ("sets the money aside: no other payment can spend it", ""),
    "settled": ("moves the money, in one transaction", "209 S23"),
    "funds_insufficient": ("cannot set the money aside: there is too little", ""),
    "call_time_over": ("its clock ends the wait for the phone", "S5 S9"),
    "approval_time_over": ("its own clock ends the wait for an approval", "S5 S9"),
    "card_time_over": ("its own clock ends the wait for a card", "S8 S9"),
    "pin_time_over": ("its own clock ends the wait for a PIN", "S17"),
}

LINK_NOTICES: Final = frozenset(
    {
        NoticeKind.READER_CONNECTION_LOST,
        NoticeKind.READER_RESUMED,
        NoticeKind.READER_FAILED,
        NoticeKind.READER_NOT_FOUND,
        NoticeKind.ISSUER_AWAY,
        NoticeKind.BLUETOOTH_FAILED,
        NoticeKind.OUTCOME_KEPT,
    }
)
