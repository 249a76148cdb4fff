"""The four real programs, and an operator who rotates and retires keys beside them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.journey.programs import Program
from tests.journey.town import Receipt, Town

PURPOSES = ("signing", "pan-index", "pin-pepper", "webhook-seal")
TOKEN, TOKEN_PIN = "blind-relay-town", "48151623"


def operate(here: Town, *words: str, status: int = 0, typed: str | None = None) -> str:
    """An operator's command, to its end."""
    return here._programs.run("issuer-server", *words, status=status, typed=typed)


def key_lines(here: Town) -> dict[tuple[str, int], Any]:
    """`keys list`, by purpose and version."""
    lines: Any = json.loads(operate(here, "keys", "list", "--json"))
    return {(each["purpose"], each["version"]): each for each in lines}


def rotate_all(here: Town) -> None:
    """Every key, one after the other."""
    for purpose in PURPOSES:
        operate(here, "keys", "rotate", purpose)


def up_to_the_pin(here: Town) -> Program:
    """A payment that waits for its PIN."""
    charge = here.charge()
    here.approve()
    here.swipe()
    here.reader.expect("Enter PIN")
    return charge


def finish(here: Town, charge: Program) -> Receipt:
    """Its PIN, and its end."""
    here.reader.type(here.card.pin)
    receipt = here.receipt(charge)
    here.reader.expect("APPROVED")
    here.phone.expect("Paid ")
    return receipt


def enrol_reader_again(here: Town) -> None:
    """As its owner does; its old entry is blocked, as the operator does."""
    (before,) = (each for each in _readers(here) if each["status"] == "active")
    owner = before["cardholder"]
    code = json.loads(operate(here, "reader", "add", "--cardholder", owner, "--json"))["code"]
    here.reader.stop()
    said = here._programs.run("reader-peripheral", "enrol", "--replace", typed=code)
    assert "Enrolled" in said
    operate(here, "reader", "block", before["id"])
    here.start_reader()


def retire_all(here: Town, version: int) -> None:
    """Every key of a version."""
    for purpose in PURPOSES:
        operate(here, "keys", "retire", purpose, str(version))


def key_files(folder: Path) -> list[Path]:
    """What lies in the keys' directory."""
    return sorted((folder / "issuer-data" / "keys").iterdir())


def make_token(folder: Path) -> None:
    """A SoftHSM token for programs whose home is `folder/home`, and the file with its PIN."""
    home = folder / "home" / ".config" / "softhsm2"
    home.mkdir(parents=True)
    (folder / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    words = ("--init-token", "--free", "--label", TOKEN, "--pin", TOKEN_PIN, "--so-pin", "5678")
    subprocess.run(
        ["softhsm2-util", *words],
        check=True,
        capture_output=True,
        env={"SOFTHSM2_CONF": str(home / "softhsm2.conf"), "PATH": "/usr/bin:/usr/local/bin"},
    )
    (folder / "token.pin").write_text(TOKEN_PIN + "\n")
    (folder / "token.pin").chmod(0o600)


def use_token(folder: Path, module: Path, *, token: str = TOKEN, pin_file: str = "../token.pin") -> None:
    """Say so in the settings; what stood there of a token goes."""
    path = folder / "issuer-data" / "issuer.toml"
    kept = path.read_text().partition("[pkcs11]")[0]
    path.write_text(f'{kept}[pkcs11]\nmodule = "{module}"\ntoken = "{token}"\npin_file = "{pin_file}"\n')


def _readers(here: Town) -> list[Any]:
    readers: list[Any] = json.loads(operate(here, "reader", "list", "--json"))
    return readers
