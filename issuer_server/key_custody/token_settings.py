"""The section `[pkcs11]` of the settings file: where keys are that are not in files. It holds no secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from issuer_server.key_custody.private_files import CREDENTIALS_VARIABLE
from protocol.errors import InputError

CREDENTIAL: Final = "pkcs11-pin"
"""The systemd credential with the token's PIN where `pin_file` is not set: LoadCredential=pkcs11-pin:…"""

_NAMES: Final = ("module", "token", "pin_file")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """`module` is the token's library, `token` its label, `pin_file` a file that is the service's alone."""

    module: Path
    token: str
    pin_file: Path | None = None

    def pin_path(self) -> Path:
        """Where the PIN is; raises InputError where nobody said."""
        if self.pin_file is not None:
            return self.pin_file
        folder = os.environ.get(CREDENTIALS_VARIABLE)
        if not folder:
            raise InputError(
                "no_token_pin",
                "Where is the token's PIN? Set pin_file in [pkcs11], a file of mode 0600, or run the issuer"
                f" with the systemd credential {CREDENTIAL}.",
            )
        return Path(folder) / CREDENTIAL


def token_settings(table: Mapping[str, Any], folder: Path) -> TokenSettings:
    """The section; its relative paths start at `folder`. Raises InputError (invalid_settings)."""
    for name, value in table.items():
        if name not in _NAMES:
            raise _refuse(f"[pkcs11] has no setting {name!r}; it takes {', '.join(_NAMES)}")
        if not isinstance(value, str) or not value:
            raise _refuse(f"{name} of [pkcs11] must be a text")
    for name in ("module", "token"):
        if name not in table:
            raise _refuse(f"[pkcs11] needs {name}")
    pin_file = table.get("pin_file")
    return TokenSettings(
        folder / table["module"], table["token"], None if pin_file is None else folder / pin_file
    )


def _refuse(advice: str) -> InputError:
    return InputError("invalid_settings", advice)
