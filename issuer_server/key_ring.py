"""The keys in use: what the database says of versions, with the keys themselves from where they are kept.

A running server meets a version that it does not know in a card, a reader or an endpoint before anybody tells
it of a rotation: it looks the versions up then and there, so nothing rests on how soon it hears. The watch
below is for the other direction, to let go of what was retired.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from issuer_server.cards import CardKeys
from issuer_server.key_store import KeyCabinet, KeyPurpose, KeyStoreError, MacVersions
from issuer_server.secret_seal import SecretSeal
from issuer_server.storage.key_records import KeyState, KeyTable, KeyVersion, SealedSecret
from issuer_server.storage.port import StorageError
from protocol.identifiers import CardId, Digest
from protocol.signing import Signer

_log = logging.getLogger(__name__)

LOOK_EVERY: Final = 2.0
"""Seconds within which a running server lets go of a key that was retired."""


class KeyRing:
    """Every version in use. Made by `open`; `refresh` takes up what commands beside the server changed."""

    def __init__(self, table: KeyTable, cabinet: KeyCabinet) -> None:
        self.table = table
        self.cabinet = cabinet
        self._versions: list[KeyVersion] = []
        self._signers: dict[int, Signer] = {}
        self._active: dict[KeyPurpose, int] = {}
        self._cards: CardKeys | None = None
        self._seal: SecretSeal | None = None
        self._trouble = ""

    @classmethod
    async def open(cls, table: KeyTable, cabinet: KeyCabinet) -> KeyRing:
        """Raises KeyStoreError where a key in use is missing, not private, or another than it was."""
        ring = cls(table, cabinet)
        ring._load(await table.versions())
        await ring._note_check_values()
        return ring

    def __repr__(self) -> str:
        return "KeyRing(…)"

    @property
    def cards(self) -> CardKeys:
        assert self._cards is not None
        return self._cards

    @property
    def seal(self) -> SecretSeal:
        assert self._seal is not None
        return self._seal

    @property
    def signing(self) -> Signer:
        """The key that new devices are told to trust."""
        return self._signers[self.active(KeyPurpose.SIGNING)]

    def active(self, purpose: KeyPurpose) -> int:
        """The version that new things are made with."""
        return self._active[purpose]

    async def signer(self, version: int) -> Signer | None:
        """The signing key that a reader pinned; None where it is retired."""
        if version not in self._signers:
            await self.refresh()
        return self._signers.get(version)

    async def open_secret(self, sealed: SealedSecret, owner: str) -> bytes:
        """Raises KeyStoreError."""
        if not self.seal.knows(sealed.version):
            await self.refresh()
        return self.seal.open(sealed, owner)

    async def move_card_index(self, card_id: CardId, before: Digest, index: Digest, version: int) -> bool:
        return await self.table.move_card_index(card_id, before, index, version)

    async def move_pin_verifier(self, card_id: CardId, before: bytes, verifier: bytes, version: int) -> bool:
        return await self.table.move_pin_verifier(card_id, before, verifier, version)

    async def refresh(self) -> bool:
        """Whether the versions had changed and are taken up; keys that cannot be had leave all as it was."""
        versions = await self.table.versions()
        if [_state(each) for each in versions] == [_state(each) for each in self._versions]:
            return False
        try:
            self._load(versions)
        except KeyStoreError as error:
            if str(error) != self._trouble:
                _log.error("keys were changed but cannot be taken up: %s", error)
            self._trouble = str(error)
            return False
        self._trouble = ""
        _log.info("keys in use: %s", self.summary())
        return True

    def summary(self) -> str:
        """Purposes and versions, for the log."""
        return ", ".join(f"{purpose} {self._active[purpose]}" for purpose in KeyPurpose)

    async def watch(self) -> None:
        """Refresh for ever; for a task of the server."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.refresh()
            except StorageError as error:
                _log.error("keys: the database failed: %s", type(error).__name__)

    def _load(self, versions: list[KeyVersion]) -> None:
        """All or nothing: what is in use stays where a key cannot be had."""
        usable = [each for each in versions if each.state is not KeyState.RETIRED]
        active = {each.purpose: each.version for each in usable if each.state is KeyState.ACTIVE}
        for each in usable:
            self._check(each)

        def macs(purpose: KeyPurpose) -> MacVersions:
            keys = {each.version for each in usable if each.purpose is purpose}
            return MacVersions(active[purpose], {key: self.cabinet.mac(purpose, key) for key in keys})

        signers = {
            each.version: self.cabinet.signer(each.version)
            for each in usable
            if each.purpose is KeyPurpose.SIGNING
        }
        cards = CardKeys(macs(KeyPurpose.PAN_INDEX), macs(KeyPurpose.PIN_PEPPER))
        seal = SecretSeal(macs(KeyPurpose.WEBHOOK_SEAL))
        self._versions, self._active = versions, active
        self._signers, self._cards, self._seal = signers, cards, seal

    def _check(self, each: KeyVersion) -> None:
        found = self.cabinet.check_value(each.purpose, each.version)
        if each.check_value is not None and found != each.check_value:
            raise KeyStoreError(
                f"version {each.version} of the {each.purpose} key is not the one that this database was made"
                " with: restore keys and database from the same backup"
            )

    async def _note_check_values(self) -> None:
        for each in self._versions:
            if each.check_value is None and each.state is not KeyState.RETIRED:
                found = self.cabinet.check_value(each.purpose, each.version)
                await self.table.note_check_value(each.purpose, each.version, found)


def _state(each: KeyVersion) -> tuple[KeyPurpose, int, KeyState]:
    return each.purpose, each.version, each.state
