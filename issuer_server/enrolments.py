"""Bringing handsets and readers in with one-time codes.

The administration command makes a code for a cardholder and shows it once; the database keeps its SHA-256.
A handset trades its code for a token. A reader signs the code's challenge with its own key: proof of
possession, so that nobody can enrol a key that they do not hold, and a key is enrolled once.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

from issuer_server.storage.port import Administration, EnrolmentRefused, EnrolmentStore
from issuer_server.storage.records import NewEnrolmentCode, ReaderRecord
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import MessageError, SignatureError
from protocol.identifiers import (
    CardholderId,
    Digest,
    HandsetId,
    IssuerId,
    PhoneNumber,
    PublicKey,
    mint,
    reader_id,
)
from protocol.signing import open_enrolment

CODE_LIFE: Final = 24 * 60 * 60.0
"""Seconds: long enough for a letter of a day, short enough to be forgotten."""
TOKEN_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class IssuerAddress:
    """What a device must know of its issuer: where it is, its name, and the key to pin."""

    url: str
    issuer_id: IssuerId
    public_key: PublicKey
    key_version: int = 1


@dataclass(frozen=True, slots=True)
class EnrolledHandset:
    """Told to the handset once; only the token's digest is kept."""

    id: HandsetId
    phone: PhoneNumber
    token: str = field(repr=False)


def secret_digest(secret: bytes | str) -> Digest:
    """How secrets with 128 bits or more of their own are stored: API keys, tokens, one-time codes."""
    return Digest(hashlib.sha256(secret.encode("utf-8") if isinstance(secret, str) else secret).digest())


def bearer_secret(prefix: str, random: bytes) -> str:
    """A secret as it is shown and sent: its kind, then 256 random bits in base64url."""
    if len(random) != TOKEN_SIZE:
        raise ValueError(f"a bearer secret is made of {TOKEN_SIZE} random bytes")
    return f"{prefix}_{base64.urlsafe_b64encode(random).decode('ascii').rstrip('=')}"


async def issue_code(
    store: Administration,
    kind: EnrolmentKind,
    cardholder_id: CardholderId,
    issuer: IssuerAddress,
    secret: bytes,
    now: float,
) -> EnrolmentCode:
    """A code for a cardholder's device, good for CODE_LIFE; raises NotFound. `secret`: 16 random bytes."""
    code = EnrolmentCode(kind, issuer.url, issuer.issuer_id, issuer.public_key, secret)
    await store.add_enrolment_code(
        NewEnrolmentCode(
            secret_digest(secret),
            kind,
            cardholder_id,
            expires_at=now + CODE_LIFE,
            issuer_key=issuer.key_version,
        )
    )
    return code


async def enrol_handset(
    store: EnrolmentStore, secret: bytes, entropy: bytes, token_random: bytes, now: float
) -> EnrolledHandset:
    """Trade a code for a token; raises EnrolmentRefused. `entropy`: 16, `token_random`: 32 random bytes."""
    token = bearer_secret("brt", token_random)
    handset = await store.redeem_handset_code(
        secret_digest(secret), HandsetId(mint("hst", entropy)), secret_digest(token), now
    )
    return EnrolledHandset(handset.id, handset.phone, token)


async def enrol_reader(store: EnrolmentStore, issuer_id: IssuerId, proof: bytes, now: float) -> ReaderRecord:
    """Take a reader in by its signed ReaderEnrolment; raises EnrolmentRefused.

    The key that the message carries must have signed it, for this issuer, over the challenge of a live code.
    """
    try:
        message = open_enrolment(proof)
    except (MessageError, SignatureError):
        raise EnrolmentRefused(
            "invalid_proof", "The reader's proof is not valid: start the enrolment again."
        ) from None
    if message.issuer_id != issuer_id:
        raise EnrolmentRefused(
            "invalid_proof", "The reader's proof is for another issuer: use a code of this issuer."
        )
    return await store.redeem_reader_code(
        secret_digest(message.challenge),
        reader_id(message.public_key),
        message.public_key,
        message.model,
        now,
    )
