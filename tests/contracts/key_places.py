"""Places for keys, for tests: a directory, and a SoftHSM token where the machine has one."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from issuer_server.key_custody.file_keys import FileKeyStore
from issuer_server.key_custody.key_store import KeyStore
from issuer_server.key_custody.token_keys import TokenKeyStore
from protocol.identifiers import IssuerId

TOKEN = "blind-relay-test"
PIN = "831274"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")


def soft_module() -> Path | None:
    """SoftHSM's library, where Debian and its own make put it."""
    found = [Path(path) for path in MODULES if Path(path).exists()]
    return found[0] if found and shutil.which("softhsm2-util") else None


needs_softhsm = pytest.mark.skipif(soft_module() is None, reason="needs Debian's softhsm2")


@cache
def soft_token() -> Path:
    """The folder of one token for all tests of this process, with its PIN in `pin` and SOFTHSM2_CONF set.

    The library reads its configuration once a process: tests tell their keys apart by the issuer's name.
    """
    folder = Path(tempfile.mkdtemp(prefix="blind-relay-token-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    (folder / "pin").write_text(PIN + "\n")
    (folder / "pin").chmod(0o600)
    subprocess.run(
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            TOKEN,
            "--pin",
            PIN,
            "--so-pin",
            "5678",
        ],
        check=True,
        capture_output=True,
    )
    return folder


def token_store(issuer: str | None = None, pin_file: Path | None = None) -> TokenKeyStore:
    """A token of its own, as far as keys go."""
    module = soft_module()
    assert module is not None
    folder = soft_token()
    name = IssuerId(issuer or f"issuer-{secrets.token_hex(6)}")
    return TokenKeyStore(module, TOKEN, pin_file or folder / "pin", name)


PLACES: dict[str, Callable[[Path], KeyStore]] = {
    "files": lambda folder: FileKeyStore(folder / "keys"),
    "token": lambda folder: token_store(),
}
