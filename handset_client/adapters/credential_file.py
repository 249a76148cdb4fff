"""The credential: in a file that this user alone can read, its secret in the system's keyring if possible."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from handset_client.ports import Credential, TokenVault
from protocol.enrolment import check_issuer_url
from protocol.errors import InputError
from protocol.identifiers import HandsetId, check_handset_id, check_issuer_id, parse_phone_number

FILE_NAME: Final = "credential.json"
IN_VAULT: Final = "keyring"
_DRAFT: Final = ".new"


class CredentialFile:
    """Credentials in `directory`/credential.json, mode 0600; its token in the system's vault, if any.

    `find_vault` is asked only when a token has to be put there or fetched: opening a keyring can take a
    second, or ask the person for a password.
    """

    def __init__(self, directory: Path, find_vault: Callable[[], TokenVault | None] = lambda: None) -> None:
        self._path = directory / FILE_NAME
        self._find_vault = find_vault

    def load(self) -> Credential | None:
        """See Credentials. Refuses a file that others on this machine can read."""
        content = self._read()
        if content is None:
            return None
        try:
            credential = _parse(content)
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged() from None
        return replace(credential, token=self._fetch(credential)) if _lies_in_vault(content) else credential

    def save(self, credential: Credential) -> str:
        """See Credentials. The old file stands until the new one is whole; then its token goes as well."""
        vault = self._find_vault()
        former = self._former_in_vault()
        kept = vault is not None and vault.put(credential.handset_id, credential.token)
        content = {
            "issuer_url": credential.issuer_url,
            "issuer_id": credential.issuer_id,
            "handset_id": credential.handset_id,
            "phone": credential.phone,
            **({"token_in": IN_VAULT} if kept else {"token": credential.token}),
        }
        write_privately(self._path, json.dumps(content))
        if vault is not None and former is not None and (former != credential.handset_id or not kept):
            # A keyring that is locked keeps it: the new credential is good all the same.
            with suppress(InputError):
                vault.drop(former)
        if vault is not None and kept:
            return f"in the system's keyring ({vault.name})"
        return f"in {self._path}, which this user alone can read"

    def forget(self) -> Credential | None:
        """See Credentials. A damaged file goes as well: nobody can want it back."""
        try:
            content = self._read()
            credential = None if content is None else _parse(content)
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            content = credential = None
        if content is not None and credential is not None and _lies_in_vault(content):
            vault = self._find_vault()
            if vault is None:
                raise _no_vault()
            vault.drop(credential.handset_id)
        remove_wholly(self._path)
        return credential

    def _former_in_vault(self) -> HandsetId | None:
        try:
            content = self._read()
            return _parse(content).handset_id if content is not None and _lies_in_vault(content) else None
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def try_folder(self) -> None:
        """Raise OSError now if a credential could not be written here later."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = _draft_of(self._path)
        os.close(descriptor)
        Path(draft).unlink()

    def _read(self) -> dict[str, Any] | None:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if sys.platform != "win32" and mode & 0o077:
                raise InputError(
                    "credential_exposed",
                    f"Others on this machine can read {self._path}. Run: chmod 600 {self._path}",
                )
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except InputError:
            raise
        except (OSError, ValueError):
            raise self._damaged() from None
        if not isinstance(content, dict):
            raise self._damaged()
        return content

    def _fetch(self, credential: Credential) -> str:
        vault = self._find_vault()
        if vault is None:
            raise _no_vault()
        token = vault.get(credential.handset_id)
        if token is None or not _is_token(token):
            raise InputError(
                "credential_unreadable",
                f"The system's keyring ({vault.name}) has lost this phone's credential. Ask the issuer for a "
                "new one-time code and run: handset-client enrol",
            )
        return token

    def _damaged(self) -> InputError:
        return InputError(
            "credential_unreadable",
            f"Cannot use {self._path}. Ask the issuer for a new one-time code and run: handset-client enrol",
        )


def _parse(content: dict[str, Any]) -> Credential:
    token = "" if _lies_in_vault(content) else content["token"]
    if not _lies_in_vault(content) and not _is_token(token):
        raise ValueError
    return Credential(
        check_issuer_url(content["issuer_url"]),
        check_issuer_id(content["issuer_id"]),
        check_handset_id(content["handset_id"]),
        parse_phone_number(content["phone"]),
        token,
    )


def _lies_in_vault(content: dict[str, Any]) -> bool:
    return content.get("token_in") == IN_VAULT


def _is_token(token: object) -> bool:
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


def _no_vault() -> InputError:
    return InputError(
        "no_keyring",
        "This phone's credential lies in the system's keyring, which cannot be reached from here. Start this "
        "in your desktop session, or ask the issuer for a new one-time code and run: handset-client enrol",
    )


def write_privately(path: Path, text: str) -> None:
    """Replace `path` by `text`, whole or not at all, readable by this user alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = _draft_of(path)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def remove_wholly(path: Path) -> None:
    """Remove `path`, and what a command that was killed while it wrote there left of it."""
    for left in (*path.parent.glob(f"{path.name}.*{_DRAFT}"), path):
        left.unlink(missing_ok=True)


def _draft_of(path: Path) -> tuple[int, str]:
    """A new file beside `path`, 0600, by a name of its own: another command of ours may be writing too."""
    return tempfile.mkstemp(prefix=path.name + ".", suffix=_DRAFT, dir=path.parent)
