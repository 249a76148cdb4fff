"""Names of things: NewTypes for values that passed a check, and the checks.

A value of one of these types has been minted or checked here; code that holds one need not look again.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final, NewType

from protocol.errors import InputError

IssuerId = NewType("IssuerId", str)
PaymentId = NewType("PaymentId", str)
RefundId = NewType("RefundId", str)
WebhookEndpointId = NewType("WebhookEndpointId", str)
MerchantId = NewType("MerchantId", str)
CardholderId = NewType("CardholderId", str)
CardId = NewType("CardId", str)
HandsetId = NewType("HandsetId", str)
PhoneNumber = NewType("PhoneNumber", str)

ReaderId = NewType("ReaderId", bytes)
KeyId = NewType("KeyId", bytes)
Nonce = NewType("Nonce", bytes)
Digest = NewType("Digest", bytes)
PublicKey = NewType("PublicKey", bytes)

KEY_ID_SIZE: Final = 8
NONCE_SIZE: Final = 16
DIGEST_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 32
ENTROPY_SIZE: Final = 16

_ISSUER_ID = re.compile(r"[a-z0-9.-]{1,32}")
_PREFIX = re.compile(r"[a-z]{3}")
_MINTED = re.compile(r"[a-z2-7]{25}[aeimquy4]")
"""RFC 4648 section 6, in small letters; of 26 characters' 130 bits the last two are zero."""
_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_PHONE_PUNCTUATION = str.maketrans("", "", " -()")
_READER_ID_GROUPS = re.compile(r"[0-9a-f]{4}(?:-?[0-9a-f]{4}){3}")


def mint(prefix: str, entropy: bytes) -> str:
    """A new identifier: `prefix`, an underscore, and the 16 random bytes as 26 characters of base32."""
    if not _PREFIX.fullmatch(prefix) or len(entropy) != ENTROPY_SIZE:
        raise ValueError(f"mint takes a three-letter prefix and {ENTROPY_SIZE} bytes")
    return f"{prefix}_{base64.b32encode(entropy).decode('ascii').rstrip('=').lower()}"


def _check_minted(prefix: str, what: str, text: str) -> str:
    """Accept only what `mint` can have made."""
    name, _, tail = text.partition("_")
    if name == prefix and _MINTED.fullmatch(tail):
        return text
    raise InputError(
        f"invalid_{what}_id", f"A {what} id is {prefix}_ and 26 letters and digits: copy it whole."
    )


def check_payment_id(text: str) -> PaymentId:
    """`text` if it is a payment id; raises InputError (invalid_payment_id)."""
    return PaymentId(_check_minted("pay", "payment", text))


def check_refund_id(text: str) -> RefundId:
    """`text` if it is a refund id; raises InputError (invalid_refund_id)."""
    return RefundId(_check_minted("ref", "refund", text))


def check_webhook_endpoint_id(text: str) -> WebhookEndpointId:
    """`text` if it is a webhook endpoint id; raises InputError (invalid_webhook_endpoint_id)."""
    return WebhookEndpointId(_check_minted("whe", "webhook_endpoint", text))


def check_merchant_id(text: str) -> MerchantId:
    """`text` if it is a merchant id; raises InputError (invalid_merchant_id)."""
    return MerchantId(_check_minted("mer", "merchant", text))


def check_cardholder_id(text: str) -> CardholderId:
    """`text` if it is a cardholder id; raises InputError (invalid_cardholder_id)."""
    return CardholderId(_check_minted("chd", "cardholder", text))


def check_card_id(text: str) -> CardId:
    """`text` if it is a card id; raises InputError (invalid_card_id)."""
    return CardId(_check_minted("crd", "card", text))


def check_handset_id(text: str) -> HandsetId:
    """`text` if it is a handset id; raises InputError (invalid_handset_id)."""
    return HandsetId(_check_minted("hst", "handset", text))


def check_issuer_id(text: str) -> IssuerId:
    """`text` if it is an issuer's name; raises InputError (invalid_issuer_id)."""
    if not _ISSUER_ID.fullmatch(text):
        raise InputError("invalid_issuer_id", "An issuer id is 1 to 32 of a-z, 0-9, '.' and '-'.")
    return IssuerId(text)


def parse_phone_number(text: str) -> PhoneNumber:
    """A phone number as people write it, as E.164; raises InputError (invalid_phone).

    Spaces, hyphens and parentheses are dropped; the country code is required, since nobody here knows the
    caller's.
    """
    number = text.translate(_PHONE_PUNCTUATION)
    if not _PHONE_NUMBER.fullmatch(number):
        raise InputError(
            "invalid_phone",
            "Write the phone number with + and its country code, for example +81 90 1234 5678.",
        )
    return PhoneNumber(number)


def key_id(public_key: PublicKey) -> KeyId:
    """The first 8 bytes of SHA-256 of a public key: the COSE `kid`, and a reader's id."""
    return KeyId(hashlib.sha256(public_key).digest()[:KEY_ID_SIZE])


def reader_id(public_key: PublicKey) -> ReaderId:
    """A reader's id is the id of its signing key: nobody can enrol one reader's id with another's key."""
    return ReaderId(key_id(public_key))


def reader_id_text(reader: ReaderId) -> str:
    """A reader id as people compare it: `0a1b-2c3d-4e5f-6071`."""
    return reader.hex("-", 2)


def parse_reader_id(text: str) -> ReaderId:
    """A reader id as people type it, hyphens and case being free; raises InputError (invalid_reader_id)."""
    plain = text.strip().lower()
    if not _READER_ID_GROUPS.fullmatch(plain):
        raise InputError(
            "invalid_reader_id",
            "A reader id is four groups like 0a1b-2c3d-4e5f-6071: see the reader's label.",
        )
    return ReaderId(bytes.fromhex(plain.replace("-", "")))
