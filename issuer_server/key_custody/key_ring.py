"""The keys in use: what the database says of versions, with the keys themselves from where they are kept.

A running server meets a version that it does not know in a card, a reader or an endpoint before anybody tells
it of a rotation: it looks the versions up then and there, so nothing rests on how soon it hears. The watch
below is for the other direction, to let go of what was retired.

A token may be at the other end of a network. It is asked on a thread of its own (`token_thread.py`), so that
everything which waits for no key goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from issuer_server.cards import CardKeys
from issuer_server.key_custody.key_store import KeyCabinet, KeyPurpose, KeyStoreError, MacVersions
from issuer_server.key_custody.secret_seal import SecretSeal
from issuer_server.key_custody.token_thread import TokenThread
from issuer_server.storage.key_records import KeyState, KeyTable, KeyVersion, SealedSecret
from issuer_server.storage.port import StorageError
from protocol.identifiers import CardId, Digest
from protocol.signing import Signer

_log = logging.getLogger(__name__)

LOOK_EVERY: Final = 2.0
"""Seconds within which a running server lets go of a key that was retired."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _InUse:
    """What was loaded together and is taken up together."""

    versions: list[KeyVersion]
    active: Mapping[KeyPurpose, int]
    signers: Mapping[int, Signer]
    cards: CardKeys
    seal: SecretSeal


class KeyRing:
    """Every version in use. Made by `open`; `refresh` takes up what commands beside the server changed."""

    def __init__(self, table: KeyTable, cabinet: KeyCabinet, in_use: _InUse) -> None:
        self.table = table
        self.cabinet = cabinet
        self._in_use = in_use
        self._aside = TokenThread() if cabinet.outside else None
        self._trouble = ""

    @classmethod
    async def open(cls, table: KeyTable, cabinet: KeyCabinet) -> KeyRing:
        """Raises KeyStoreError where a key in use is missing, not private, or another than it was."""
        ring = cls(table, cabinet, _load(cabinet, await table.versions()))
        await ring._note_check_values()
        return ring

    def __repr__(self) -> str:
        return "KeyRing(…)"

    @property
    def cards(self) -> CardKeys:
        return self._in_use.cards

    @property
    def seal(self) -> SecretSeal:
        return self._in_use.seal

    @property
    def signing(self) -> Signer:
        """The key that new devices are told to trust."""
        return self._in_use.signers[self.active(KeyPurpose.SIGNING)]

    def active(self, purpose: KeyPurpose) -> int:
        """The version that new things are made with."""
        return self._in_use.active[purpose]

    async def ask(self, work: Callable[[], T]) -> T:
        """Do `work`, which uses keys; raises KeyStoreError, and says in the log what to do."""
        try:
            return await self._do(work)
        except KeyStoreError as error:
            _log.error("keys: %s", error)
            raise

    async def _do(self, work: Callable[[], T]) -> T:
        """Here where keys are in memory, else on the token's thread."""
        return work() if self._aside is None else await self._aside.ask(work)

    async def signer(self, version: int) -> Signer | None:
        """The signing key that a reader pinned; None where it is retired."""
        if version not in self._in_use.signers:
            await self.refresh()
        return self._in_use.signers.get(version)

    async def open_secret(self, sealed: SealedSecret, owner: str) -> bytes:
        """Raises KeyStoreError."""
        if not self.seal.knows(sealed.version):
            await self.refresh()
        return self.seal.open(sealed, owner)

    async def move_card_index(self, card_id: CardId, before: Digest, index: Digest, version: int) -> bool:
        return await self.table.move_card_index(card_id, before, index, version)

    async def move_pin_verifier(self, card_id: CardId, before: bytes, verifier: bytes, version: int) -> bool:
        return await self.table.move_pin_verifier(card_id, before, verifier, version)

    async def refresh(self) -> None:
        """Take up the versions where they have changed; keys that cannot be had leave all as it was."""
        versions = await self.table.versions()
        if [_state(each) for each in versions] == [_state(each) for each in self._in_use.versions]:
            return
        try:
            self._in_use = await self._do(lambda: _load(self.cabinet, versions))
        except KeyStoreError as error:
            if str(error) != self._trouble:
                _log.error("keys were changed but cannot be taken up: %s", error)
            self._trouble = str(error)
        else:
            self._trouble = ""
            _log.info("keys in use: %s", self.summary())

    def summary(self) -> str:
        """Purposes and versions, for the log."""
        return ", ".join(f"{purpose} {self.active(purpose)}" for purpose in KeyPurpose)

    async def watch(self) -> None:
        """Refresh for ever; for a task of the server."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.refresh()
            except StorageError as error:
                _log.error("keys: the database failed: %s", type(error).__name__)

    async def _note_check_values(self) -> None:
        for each in self._in_use.versions:
            if each.check_value is None and each.state is not KeyState.RETIRED:
                found = self.cabinet.check_value(each.purpose, each.version)
                await self.table.note_check_value(each.purpose, each.version, found)


def _load(cabinet: KeyCabinet, versions: list[KeyVersion]) -> _InUse:
    """All of them, or KeyStoreError."""
    usable = [each for each in versions if each.state is not KeyState.RETIRED]
    active = {each.purpose: each.version for each in usable if each.state is KeyState.ACTIVE}
    for each in usable:
        _check(cabinet, each)

    def macs(purpose: KeyPurpose) -> MacVersions:
        keys = {each.version for each in usable if each.purpose is purpose}
        return MacVersions(active[purpose], {key: cabinet.mac(purpose, key) for key in keys})

    signers = {
        each.version: cabinet.signer(each.version) for each in usable if each.purpose is KeyPurpose.SIGNING
    }
    cards = CardKeys(macs(KeyPurpose.PAN_INDEX), macs(KeyPurpose.PIN_PEPPER))
    return _InUse(versions, active, signers, cards, SecretSeal(macs(KeyPurpose.WEBHOOK_SEAL)))


def _check(cabinet: KeyCabinet, each: KeyVersion) -> None:
    found = cabinet.check_value(each.purpose, each.version)
    if each.check_value is not None and found != each.check_value:
        raise KeyStoreError(
            f"version {each.version} of the {each.purpose} key is not the one that this database was made"
            " with: restore keys and database from the same backup"
        )


def _state(each: KeyVersion) -> tuple[KeyPurpose, int, KeyState]:
    return each.purpose, each.version, each.state
