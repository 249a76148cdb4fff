"""`issuer-server doctor`: what is wrong is found, and said with its remedy."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer_server.cli import main
from issuer_server.operations import doctor
from issuer_server.operations.doctor import Machine
from issuer_server.operations.doctor_database import outbox
from issuer_server.settings import load_settings, settings_from
from issuer_server.storage.sqlite.inspection import Figures
from service_host.findings import Finding, Level
from tests.journey.programs import free_port
from tests.unit.test_issuer_api_tls import make_certificate

Examine = Callable[[], tuple[int, dict[str, dict[str, Any]]]]


class Elsewhere(Machine):
    """A machine whose commands say what the test wrote down."""

    def __init__(
        self, said: dict[str, str], *, free: int = 2**40, files: int = 65536, later: float = 0.0
    ) -> None:
        self.said, self.free, self.files, self.later = said, free, files, later

    def run(self, *command: str) -> str | None:
        return self.said.get(" ".join(command[:2]))

    def now(self) -> float:
        return time.time() + self.later

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def open_files(self) -> int:
        return self.files


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    data = tmp_path / "data"
    assert main(["init", "--data", str(data), "--port", str(free_port())]) == 0
    capsys.readouterr()
    return data


@pytest.fixture
def examine(data: Path, capsys: pytest.CaptureFixture[str]) -> Examine:
    def run() -> tuple[int, dict[str, dict[str, Any]]]:
        status = main(["doctor", "--data", str(data), "--json"])
        return status, {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}

    return run


def change(database: Path, *statements: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_a_new_issuer_has_nothing_wrong(
    data: Path, examine: Examine, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = examine()
    assert status == 0
    for check in (
        "settings",
        "data directory",
        "disk",
        "database",
        "ledger",
        "keys",
        "outbox",
        "TLS",
        "port",
    ):
        assert found[check]["level"] == "ok", found[check]
    assert main(["doctor", "--data", str(data), "--quick"]) == 0
    assert "   ok  ledger: balanced" in capsys.readouterr().out


def test_without_a_data_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data", str(tmp_path / "none")]) == 1
    out = capsys.readouterr().out
    assert "FAULT  settings" in out
    assert "issuer-server init" in out


def test_keys_and_files_open_to_others(data: Path, examine: Examine) -> None:
    (data / "keys" / "pin-pepper.key").chmod(0o644)
    (data / "issuer.toml").chmod(0o666)
    data.chmod(0o755)
    status, found = examine()
    assert status == 1
    assert "chmod 600" in found["keys"]["seen"]
    assert found["settings"]["remedy"].startswith("Run: chmod go-w")
    assert found["data directory"]["remedy"].startswith("Run: chmod 700")


def test_the_keys_of_another_issuer(data: Path, examine: Examine) -> None:
    (data / "keys" / "pan-index.key").write_bytes(bytes(32))
    status, found = examine()
    assert (status, found["keys"]["level"]) == (1, "fault")


def test_a_balance_that_no_entry_explains(data: Path, examine: Examine) -> None:
    change(
        data / "issuer.db",
        "DROP TRIGGER balance_moves_by_transfer",
        "INSERT INTO accounts (owner, kind, currency) VALUES ('mer_x', 'merchant', 'JPY')",
        "UPDATE accounts SET balance = 5",
    )
    status, found = examine()
    assert status == 1
    assert "the balance of mer_x (merchant, JPY) is 5 and its entries add up to 0" in found["ledger"]["seen"]
    assert "restore" in found["ledger"]["remedy"]


def test_a_damaged_a_missing_an_old_and_a_foreign_database(data: Path, examine: Examine) -> None:
    database = data / "issuer.db"
    whole = database.read_bytes()
    with database.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes(8 * 4096))
    status, found = examine()
    assert (status, found["database"]["level"]) == (1, "fault")
    database.write_bytes(whole)
    change(database, "PRAGMA user_version = 3")
    assert "schema version 3" in examine()[1]["database"]["seen"]
    change(database, "PRAGMA user_version = 99")
    assert "newer" in examine()[1]["database"]["seen"]
    database.unlink()
    status, found = examine()
    assert status == 1
    assert "issuer-server init" in found["database"]["remedy"]
    assert "keys" not in found, "nothing is guessed of what could not be read"


def test_a_port_that_another_program_has(data: Path, examine: Examine) -> None:
    settings = load_settings(data / "issuer.toml")
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        status, found = examine()
    assert status == 1
    assert f"sport = :{settings.port}" in found["port"]["remedy"]


def only(findings: Any) -> Finding:
    [finding] = findings
    assert isinstance(finding, Finding)
    return finding


def test_disk_clock_files_and_service(tmp_path: Path) -> None:
    here = load_from(tmp_path)
    assert only(doctor.disk(Elsewhere({}, free=2**20), here)).level is Level.FAULT
    assert only(doctor.disk(Elsewhere({}, free=2**29), here)).level is Level.NOTE
    assert only(doctor.limits_of_files(Elsewhere({}, files=1024))).level is Level.NOTE
    of_service = {"systemctl is-enabled": "enabled", "systemctl show": "65536"}
    assert only(doctor.limits_of_files(Elsewhere(of_service, files=1024))).level is Level.OK
    assert (
        only(doctor.limits_of_files(Elsewhere({**of_service, "systemctl show": "1024"}))).level is Level.NOTE
    )
    # As on an image that is not started: the unit is enabled, and nobody knows its limits.
    enabled_alone = {"systemctl is-enabled": "enabled", "systemctl show": ""}
    assert only(doctor.limits_of_files(Elsewhere(enabled_alone))).level is Level.UNKNOWN
    assert only(doctor.clock(Elsewhere({"timedatectl show": "yes"}), None)).level is Level.OK
    assert "set-ntp" in only(doctor.clock(Elsewhere({"timedatectl show": "no"}), None)).remedy
    assert only(doctor.clock(Elsewhere({}), None)).level is Level.UNKNOWN
    assert "went back" in only(doctor.clock(Elsewhere({}), time.time() + 60)).seen


def test_an_outbox_that_is_stuck() -> None:
    def with_outbox(waiting: int, given_up: int, since: float | None) -> Finding:
        return only(outbox(Figures(7, 1, 1, 1, 1, 0, None, waiting, given_up, since), 10_000.0))

    assert with_outbox(0, 0, None).level is Level.OK
    assert with_outbox(3, 0, 9_990.0).level is Level.OK
    assert "the longest for 83 minutes" in with_outbox(3, 0, 5_000.0).seen
    assert with_outbox(0, 2, None).level is Level.NOTE


def load_from(folder: Path, **more: Any) -> Any:
    return settings_from(
        {"issuer_id": "bank.example", "database": "issuer.db", "keys": "keys", **more}, folder
    )


def test_a_certificate_that_ends_or_is_of_another_name(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    files = {"tls_certificate": str(certificate), "tls_key": str(key)}
    key.chmod(0o600)
    here = load_from(tmp_path, **files)
    assert only(doctor.tls(Elsewhere({}), here)).level is Level.NOTE, "it lasts an hour"
    over = only(doctor.tls(Elsewhere({}, later=timedelta(days=1).total_seconds()), here))
    assert (over.level, "reload" in over.remedy) == (Level.FAULT, True)
    assert only(doctor.tls(Elsewhere({}, later=-86_400), here)).remedy == "Check the clock."
    named = load_from(tmp_path, **files, public_url="https://bank.example")
    assert [each.check for each in doctor.tls(Elsewhere({}), named)] == ["TLS", "TLS name"]
    right = load_from(tmp_path, **files, public_url="https://127.0.0.1:8480")
    assert [each.check for each in doctor.tls(Elsewhere({}), right)] == ["TLS"]
    key.chmod(0o644)
    assert [each.check for each in doctor.tls(Elsewhere({}), here)] == ["TLS", "TLS key"]
    certificate.write_text("no certificate")
    assert only(doctor.tls(Elsewhere({}), here)).level is Level.FAULT
