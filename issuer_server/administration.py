"""What an operator does: merchants, cardholders, cards, devices, money. Independent of how it is asked for.

Every function checks its input (InputError), makes what must be random from `random`, and tells secrets once:
an API key or a code is in the answer and nowhere else afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from issuer_server.card_checks import CardsByIndex, KeysInUse, find_card
from issuer_server.cards import (
    DEFAULT_PIN_TRIES,
    CardKeys,
    Digits,
    check_expiry,
    check_pan,
    check_pin_digits,
    last_four,
)
from issuer_server.enrolments import IssuerAddress, bearer_secret, issue_code, secret_digest
from issuer_server.key_custody.secret_seal import NONCE_SIZE, SecretSeal
from issuer_server.look_alikes import look_alike
from issuer_server.storage.key_records import AuditEntry, KeyTable
from issuer_server.storage.port import Administration
from issuer_server.storage.records import NewCard, NewCardholder, NewMerchant, NewWebhookEndpoint
from issuer_server.webhooks.messages import SECRET_SIZE as SECRET_BYTES
from issuer_server.webhooks.messages import check_webhook_url, secret_text
from protocol.enrolment import SECRET_SIZE, EnrolmentCode, EnrolmentKind
from protocol.errors import InputError
from protocol.identifiers import (
    ENTROPY_SIZE,
    CardholderId,
    CardId,
    MerchantId,
    PhoneNumber,
    WebhookEndpointId,
    mint,
    parse_phone_number,
)
from protocol.text import check_shown_text

LONGEST_MERCHANT_NAME: Final = 40
"""Characters: what a reader's display and the key offer take."""
LONGEST_PERSON_NAME: Final = 80
MOST_PIN_TRIES: Final = 15
API_KEY_SIZE: Final = 32

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class AddedMerchant:
    """A merchant and its API key, which is not told again."""

    id: MerchantId
    name: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddedCardholder:
    """A cardholder as stored."""

    id: CardholderId
    name: str
    phone: PhoneNumber


@dataclass(frozen=True, slots=True)
class AddedCard:
    """A card as stored: no more of its number than this."""

    id: CardId
    cardholder_id: CardholderId
    last_four: str
    expiry: str


@dataclass(frozen=True, slots=True)
class AddedWebhook:
    """A webhook endpoint and its secret, which is not told again."""

    id: WebhookEndpointId
    url: str
    secret: str = field(repr=False)


async def add_merchant(
    store: Administration,
    name: str,
    random: RandomBytes,
    now: float,
    *,
    look_alike_allowed: bool = False,
) -> AddedMerchant:
    """Register a merchant under the name that readers will show: all that a person knows it by there.

    A name that can be taken for another merchant's is refused, unless somebody has looked.
    """
    check_shown_text(name, LONGEST_MERCHANT_NAME, "merchant_name")
    if not look_alike_allowed:
        for other in await store.merchants():
            if look_alike(name, other.name):
                raise InputError(
                    "merchant_name_looks_alike",
                    f"The name looks like that of {other.id}: on a reader nobody could tell the two apart.",
                )
    merchant_id = MerchantId(mint("mer", random(ENTROPY_SIZE)))
    api_key = bearer_secret("brm", random(API_KEY_SIZE))
    await store.add_merchant(NewMerchant(merchant_id, name, secret_digest(api_key)), now)
    return AddedMerchant(merchant_id, name, api_key)


async def replace_api_key(
    store: Administration, merchant_id: MerchantId, random: RandomBytes, now: float, overlap: float
) -> str:
    """The merchant's new API key; for `overlap` seconds the one before works as well. Raises NotFound."""
    api_key = bearer_secret("brm", random(API_KEY_SIZE))
    await store.replace_api_key(merchant_id, secret_digest(api_key), now + overlap)
    return api_key


async def add_cardholder(
    store: Administration, name: str, phone: str, random: RandomBytes, now: float
) -> AddedCardholder:
    """Register a person under the number of their phone, written as people write it; raises AlreadyExists."""
    check_shown_text(name, LONGEST_PERSON_NAME, "cardholder_name")
    number = parse_phone_number(phone)
    cardholder_id = CardholderId(mint("chd", random(ENTROPY_SIZE)))
    await store.add_cardholder(NewCardholder(cardholder_id, name, number), now)
    return AddedCardholder(cardholder_id, name, number)


async def add_card(
    store: Administration,
    keys: CardKeys,
    cardholder_id: CardholderId,
    pan: Digits,
    expiry: str,
    pin: Digits,
    random: RandomBytes,
    now: float,
    pin_tries: int = DEFAULT_PIN_TRIES,
) -> AddedCard:
    """Register a card; raises AlreadyExists or NotFound. The caller wipes `pan` and `pin`."""
    check_pan(pan)
    check_pin_digits(pin)
    expires = check_expiry(expiry)
    if not 1 <= pin_tries <= MOST_PIN_TRIES:
        raise InputError("invalid_pin_tries", f"A card has 1 to {MOST_PIN_TRIES} PIN tries.")
    card_id = CardId(mint("crd", random(ENTROPY_SIZE)))
    digits = last_four(pan)
    await store.add_card(
        NewCard(
            id=card_id,
            cardholder_id=cardholder_id,
            pan_index=keys.pan_index(pan),
            last_four=digits,
            expiry=expires,
            pin_verifier=keys.pin_verifier(card_id, pin),
            pin_try_limit=pin_tries,
            pan_key=keys.pan_key,
            pin_key=keys.pin_key,
            earlier_indexes=keys.earlier_indexes(pan),
        ),
        now,
    )
    return AddedCard(card_id, cardholder_id, digits, expires)


async def reset_pin(table: KeyTable, keys: CardKeys, card_id: CardId, pin: Digits, entry: AuditEntry) -> None:
    """Another PIN, and all its tries; raises NotFound. The caller wipes `pin`."""
    check_pin_digits(pin)
    await table.reset_pin(card_id, keys.pin_verifier(card_id, pin), keys.pin_key, entry)


async def reindex_card(storage: CardsByIndex, keys: KeysInUse, pan: Digits) -> str:
    """Move a card to the active index: `moved`, `there_already` or `unknown`. The caller wipes `pan`."""
    check_pan(pan)
    if await storage.card_by_index(keys.cards.pan_index(pan)) is not None:
        return "there_already"
    return "unknown" if await find_card(storage, keys, pan) is None else "moved"


async def add_webhook(
    store: Administration,
    merchant_id: MerchantId,
    url: str,
    seal: SecretSeal,
    random: RandomBytes,
    now: float,
    *,
    private_allowed: bool = False,
) -> AddedWebhook:
    """Tell a merchant of its payments at `url`; raises NotFound."""
    check_webhook_url(url, private_allowed=private_allowed)
    endpoint_id = WebhookEndpointId(mint("whe", random(ENTROPY_SIZE)))
    secret = random(SECRET_BYTES)
    sealed = seal.seal(secret, endpoint_id, random(NONCE_SIZE))
    await store.add_webhook_endpoint(NewWebhookEndpoint(endpoint_id, merchant_id, url, sealed), now)
    return AddedWebhook(endpoint_id, url, secret_text(secret))


async def rotate_webhook_secret(
    store: Administration,
    endpoint_id: WebhookEndpointId,
    seal: SecretSeal,
    random: RandomBytes,
    now: float,
    overlap: float,
) -> str:
    """The endpoint's new secret; for `overlap` seconds the old one signs as well. Raises NotFound."""
    secret = random(SECRET_BYTES)
    sealed = seal.seal(secret, endpoint_id, random(NONCE_SIZE))
    await store.rotate_webhook_secret(endpoint_id, sealed, now + overlap)
    return secret_text(secret)


async def add_device(
    store: Administration,
    kind: EnrolmentKind,
    cardholder_id: CardholderId,
    issuer: IssuerAddress,
    random: RandomBytes,
    now: float,
) -> EnrolmentCode:
    """A one-time code for a cardholder's handset or reader; raises NotFound."""
    return await issue_code(store, kind, cardholder_id, issuer, random(SECRET_SIZE), now)
