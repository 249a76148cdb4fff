"""From settings to keys in use, for the server and for commands beside it."""

from __future__ import annotations

from collections.abc import Callable

from issuer_server.key_custody.file_keys import FileKeyStore
from issuer_server.key_custody.key_ring import KeyRing
from issuer_server.key_custody.key_store import KeyCabinet, KeyPurpose, KeyStore, KeyStoreError
from issuer_server.key_custody.secret_seal import NONCE_SIZE, SecretSeal
from issuer_server.settings import Settings
from issuer_server.storage.key_records import KeyTable, SealedSecret, StoredSecrets
from protocol.identifiers import WebhookEndpointId

RandomBytes = Callable[[int], bytes]


def cabinet_of(settings: Settings, random: RandomBytes) -> KeyCabinet:
    """The places that the settings name; new keys go to the first: a token if there is one, else a file."""
    stores: list[KeyStore] = [FileKeyStore(settings.keys, random)]
    if settings.pkcs11 is not None:
        # Here and not above: an issuer without a token needs no library for one.
        try:
            from issuer_server.key_custody.token_keys import TokenKeyStore
        except ModuleNotFoundError:
            raise KeyStoreError(
                "[pkcs11] needs the library python-pkcs11: pip install 'blind-relay[issuer,pkcs11]'"
            ) from None

        token = settings.pkcs11
        stores.insert(0, TokenKeyStore(token.module, token.token, token.pin_path(), settings.issuer_id))
    return KeyCabinet(stores)


async def open_keys(settings: Settings, table: KeyTable, random: RandomBytes) -> KeyRing:
    """For a command beside the server; raises KeyStoreError."""
    return await KeyRing.open(table, cabinet_of(settings, random))


async def prepare_keys(
    settings: Settings, table: KeyTable, random: RandomBytes, now: float, *, make: bool = False
) -> KeyRing:
    """For whoever holds the database: also brings what an older version left up to date.

    `make`: first keys are made for a database that has seen none. Raises KeyStoreError, StorageError.
    """
    cabinet = cabinet_of(settings, random)
    await _make_first(cabinet, table, now, set(KeyPurpose) if make else {KeyPurpose.WEBHOOK_SEAL})
    ring = await KeyRing.open(table, cabinet)
    await seal_all(table, ring.seal, random)
    await table.overwrite_clear_secrets()
    return ring


async def _make_first(cabinet: KeyCabinet, table: KeyTable, now: float, purposes: set[KeyPurpose]) -> None:
    """Keys that nothing was ever made with; one that is lost is another matter."""
    uses = await table.uses(now)
    for each in await table.versions():
        first = each.version == 1 and each.purpose in purposes
        if first and each.check_value is None and cabinet.where(each.purpose, 1) is None:
            if uses.get((each.purpose, 1)):
                raise KeyStoreError(
                    f"the {each.purpose} key is missing, and the database needs it:"
                    " restore it from its backup"
                )
            cabinet.make(each.purpose, 1)


async def seal_all(table: KeyTable, seal: SecretSeal, random: RandomBytes) -> int:
    """Webhook secrets that lie in clear, or under an earlier version, are sealed with the active one."""
    changes = []
    for stored in await table.stored_secrets():
        versions = {stored.version} | ({stored.previous_version} if stored.previous is not None else set())
        if versions != {seal.version}:
            changes.append((stored, _sealed_anew(stored, seal, random)))
    return await table.seal_anew(changes)


def _sealed_anew(stored: StoredSecrets, seal: SecretSeal, random: RandomBytes) -> StoredSecrets:
    def again(secret: bytes, version: int | None, owner: WebhookEndpointId) -> bytes:
        clear = secret if version is None else seal.open(SealedSecret(version, secret), owner)
        return seal.seal(clear, owner, random(NONCE_SIZE)).sealed

    previous = stored.previous
    if previous is not None:
        previous = again(previous, stored.previous_version, stored.endpoint_id)
    return StoredSecrets(
        stored.endpoint_id,
        again(stored.secret, stored.version, stored.endpoint_id),
        seal.version,
        previous,
        None if previous is None else seal.version,
    )
