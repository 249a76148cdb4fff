"""The credential's secret in the system's keyring, and in the file where the system has none."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest
from keyring.backends.chainer import ChainerBackend

from handset_client.adapters.credential_file import FILE_NAME, CredentialFile
from handset_client.adapters.system_keyring import SERVICE, SystemKeyring
from handset_client.ports import Credential
from protocol.errors import InputError
from protocol.identifiers import HandsetId, IssuerId, PhoneNumber, mint

TOKEN = "a-secret-token"
CREDENTIAL = Credential(
    "https://issuer.example",
    IssuerId("bank"),
    HandsetId(mint("hst", b"\x01" * 16)),
    PhoneNumber("+819012345678"),
    TOKEN,
)


class Desktop(keyring.backend.KeyringBackend):
    """A keyring as a desktop has it."""

    priority = 5  # type: ignore[assignment]
    name = "a desktop's"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False
        self.forgetful = False

    def set_password(self, service: str, username: str, password: str) -> None:
        self._open()
        if not self.forgetful:
            self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        self._open()
        return self.kept.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        self._open()
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("not there")

    def _open(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("the person pressed Cancel")


class PlainText(Desktop):
    priority = 0.5  # type: ignore[assignment]


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    backend = Desktop()
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    return backend


def test_the_secret_is_in_the_keyring_and_nowhere_in_the_file(tmp_path: Path, desktop: Desktop) -> None:
    store = CredentialFile(tmp_path, SystemKeyring.find)
    assert store.save(CREDENTIAL) == "in the system's keyring (a desktop's)"
    assert desktop.kept == {(SERVICE, CREDENTIAL.handset_id): TOKEN}
    assert TOKEN not in (tmp_path / FILE_NAME).read_text()
    assert store.load() == CREDENTIAL


def test_enrolling_again_drops_the_former_secret(tmp_path: Path, desktop: Desktop) -> None:
    store = CredentialFile(tmp_path, SystemKeyring.find)
    store.save(CREDENTIAL)
    again = replace(CREDENTIAL, handset_id=HandsetId(mint("hst", b"\x02" * 16)), token="another")
    store.save(again)
    assert desktop.kept == {(SERVICE, again.handset_id): "another"}
    store.save(again)
    assert store.load() == again


def test_forgetting_empties_both(tmp_path: Path, desktop: Desktop) -> None:
    store = CredentialFile(tmp_path, SystemKeyring.find)
    store.save(CREDENTIAL)
    forgotten = store.forget()
    assert forgotten is not None
    assert forgotten.handset_id == CREDENTIAL.handset_id
    assert desktop.kept == {}
    assert list(tmp_path.iterdir()) == []
    assert store.load() is None
    assert store.forget() is None


@pytest.mark.parametrize(
    "backend",
    [keyring.backends.fail.Keyring(), keyring.backends.null.Keyring(), PlainText(), ChainerBackend()],
    ids=["fail", "null", "plain text", "a chain of nothing"],
)
def test_what_keeps_no_secret_is_no_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: keyring.backend.KeyringBackend
) -> None:
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    monkeypatch.setattr(ChainerBackend, "backends", (keyring.backends.fail.Keyring(), PlainText()))
    assert SystemKeyring.find() is None
    store = CredentialFile(tmp_path, SystemKeyring.find)
    assert FILE_NAME in store.save(CREDENTIAL)
    assert store.load() == CREDENTIAL
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "error", [keyring.errors.InitError("no bus"), ModuleNotFoundError("x"), AttributeError("x"), OSError()]
)
def test_a_keyring_that_cannot_be_loaded_is_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(keyring, "get_keyring", fail)
    assert SystemKeyring.find() is None


@pytest.mark.parametrize("fault", ["locked", "forgetful"])
def test_a_keyring_that_does_not_take_it_leaves_it_in_the_file(
    tmp_path: Path, desktop: Desktop, fault: str
) -> None:
    setattr(desktop, fault, True)
    store = CredentialFile(tmp_path, SystemKeyring.find)
    assert FILE_NAME in store.save(CREDENTIAL)
    assert json.loads((tmp_path / FILE_NAME).read_text())["token"] == TOKEN
    assert store.load() == CREDENTIAL


def test_a_locked_keyring_says_what_to_do(tmp_path: Path, desktop: Desktop) -> None:
    store = CredentialFile(tmp_path, SystemKeyring.find)
    store.save(CREDENTIAL)
    desktop.locked = True
    for attempt in (store.load, store.forget):
        with pytest.raises(InputError, match="Unlock it") as refused:
            attempt()
        assert TOKEN not in str(refused.value)
    desktop.locked = False
    assert store.load() == CREDENTIAL


def test_a_keyring_that_lost_it_says_what_to_do(tmp_path: Path, desktop: Desktop) -> None:
    store = CredentialFile(tmp_path, SystemKeyring.find)
    store.save(CREDENTIAL)
    desktop.kept.clear()
    with pytest.raises(InputError, match="handset-client enrol"):
        store.load()
    assert store.forget() is not None


def test_a_credential_of_the_desktop_read_without_it_says_what_to_do(
    tmp_path: Path, desktop: Desktop
) -> None:
    CredentialFile(tmp_path, SystemKeyring.find).save(CREDENTIAL)
    for attempt in (CredentialFile(tmp_path).load, CredentialFile(tmp_path).forget):
        with pytest.raises(InputError, match="desktop session"):
            attempt()


def test_a_credential_in_a_file_opens_no_keyring(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("the keyring was asked for")

    CredentialFile(tmp_path).save(CREDENTIAL)
    assert CredentialFile(tmp_path, never).load() == CREDENTIAL
    assert CredentialFile(tmp_path, never).forget() == CREDENTIAL


def test_a_damaged_file_is_forgotten_too(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    (tmp_path / FILE_NAME).chmod(0o600)
    assert CredentialFile(tmp_path).forget() is None
    assert list(tmp_path.iterdir()) == []
