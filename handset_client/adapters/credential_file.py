"""The credential in a file that this user alone can read."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

from handset_client.ports import Credential
from protocol.enrolment import check_issuer_url
from protocol.errors import InputError
from protocol.identifiers import check_handset_id, check_issuer_id, parse_phone_number

FILE_NAME = "credential.json"


class CredentialFile:
    """Credentials in `directory`/credential.json, mode 0600."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def load(self) -> Credential | None:
        """See Credentials. Refuses a file that others on this machine can read."""
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if sys.platform != "win32" and mode & 0o077:
                raise InputError(
                    "credential_exposed",
                    f"Others on this machine can read {self._path}. Run: chmod 600 {self._path}",
                )
            content = json.loads(self._path.read_text(encoding="utf-8"))
            token = content["token"]
            if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
                raise ValueError
            return Credential(
                check_issuer_url(content["issuer_url"]),
                check_issuer_id(content["issuer_id"]),
                check_handset_id(content["handset_id"]),
                parse_phone_number(content["phone"]),
                token,
            )
        except FileNotFoundError:
            return None
        except InputError as error:
            if error.code == "credential_exposed":
                raise
            raise self._damaged() from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged() from None

    def save(self, credential: Credential) -> None:
        """See Credentials. The old file stands until the new one is whole."""
        text = json.dumps(
            {
                "issuer_url": credential.issuer_url,
                "issuer_id": credential.issuer_id,
                "handset_id": credential.handset_id,
                "phone": credential.phone,
                "token": credential.token,
            }
        )
        write_privately(self._path, text)

    def _damaged(self) -> InputError:
        return InputError(
            "credential_unreadable",
            f"Cannot use {self._path}. Ask the issuer for a new one-time code and run: handset-client enrol",
        )


def write_privately(path: Path, text: str) -> None:
    """Replace `path` by `text`, whole or not at all, readable by this user alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
