"""The system's keyring, on keyring: Secret Service or KWallet, macOS Keychain, Windows Credential Locker."""

from __future__ import annotations

import logging
from typing import Final, Self

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
from keyring.backends.chainer import ChainerBackend

from protocol.errors import InputError
from protocol.identifiers import HandsetId

_log = logging.getLogger(__name__)

SERVICE: Final = "blind-relay handset"

_LEAST_PRIORITY: Final = 1
"""keyring's own line between back ends to recommend and plain files, null and the like."""


class SystemKeyring:
    """TokenVault in the keyring that the system offers; :meth:`find` says whether there is one."""

    def __init__(self, backend: keyring.backend.KeyringBackend) -> None:
        self._backend = backend

    @classmethod
    def find(cls) -> Self | None:
        """The keyring, or None where there is none that keeps secrets (server, container, plain file)."""
        try:
            backend = keyring.get_keyring()
            return cls(backend) if _keeps_secrets(backend) else None
        except (keyring.errors.KeyringError, ImportError, AttributeError, RuntimeError, OSError) as error:
            # keyring loads what PYTHON_KEYRING_BACKEND or its settings name, and passes on what goes wrong.
            _log.info("keyring: %s", type(error).__name__)
            return None

    @property
    def name(self) -> str:
        """What a person knows it by, more or less."""
        return str(self._backend.name)

    def put(self, handset_id: HandsetId, token: str) -> bool:
        """See TokenVault. Read back and compared: some back ends take everything and keep nothing."""
        try:
            self._backend.set_password(SERVICE, handset_id, token)
            return self._backend.get_password(SERVICE, handset_id) == token
        except (keyring.errors.KeyringError, RuntimeError, OSError) as error:
            _log.info("keyring: %s", type(error).__name__)
            return False

    def get(self, handset_id: HandsetId) -> str | None:
        """See TokenVault."""
        try:
            return self._backend.get_password(SERVICE, handset_id)
        except (keyring.errors.KeyringError, RuntimeError, OSError):
            raise InputError(
                "keyring_locked",
                f"The system's keyring ({self.name}) does not open. Unlock it (log in to the desktop), "
                "then start again.",
            ) from None

    def drop(self, handset_id: HandsetId) -> None:
        """See TokenVault."""
        try:
            self._backend.delete_password(SERVICE, handset_id)
        except keyring.errors.PasswordDeleteError:
            pass  # it was not there
        except (keyring.errors.KeyringError, RuntimeError, OSError):
            raise InputError(
                "keyring_locked",
                f"The system's keyring ({self.name}) does not open, so the credential stays in it. Unlock "
                "it, then try again.",
            ) from None


def _keeps_secrets(backend: keyring.backend.KeyringBackend) -> bool:
    if isinstance(backend, keyring.backends.fail.Keyring | keyring.backends.null.Keyring):
        return False
    if isinstance(backend, ChainerBackend):
        return any(_keeps_secrets(link) for link in backend.backends)
    return backend.priority >= _LEAST_PRIORITY
