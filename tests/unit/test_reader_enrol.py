"""Enrolling a reader: the proof over real HTTP, what is pinned, what is refused, and the command."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import InputError
from protocol.identifiers import IssuerId, reader_id, reader_id_text
from protocol.signing import SigningKey
from reader_peripheral import enrolment, settings
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.adapters.private_files import PrivateFileError
from reader_peripheral.cli import main
from reader_peripheral.enrolment import EnrolmentError, enrol, read_code
from reader_peripheral.ports import PinnedIssuer
from tests.machines.reader_bench import ISSUER
from tests.unit.reader_enrolment_bench import BANK, SECRET, Issuer, prepared, problem, serving

READER_COMMAND = str(Path(sys.executable).parent / "reader-peripheral")


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with serving() as issuer:
        yield issuer


@pytest.fixture
def store(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "reader")


async def test_a_reader_proves_its_key_and_pins_the_issuer_of_the_code(
    issuer: Issuer, store: FileKeyStore
) -> None:
    candidate = prepared(store, issuer.code())
    assert store.issuer() is None, "not before the issuer has agreed"
    await enrol(store, candidate)
    (proof,) = issuer.proofs
    assert proof.challenge == SECRET
    assert proof.issuer_id == "test-bank"
    seed = store.seed()
    assert seed
    assert proof.public_key == SigningKey.from_seed(seed).public_key
    assert store.issuer() == PinnedIssuer(
        IssuerId("test-bank"), ISSUER.public_key, str(issuer.server.make_url(""))
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (problem(410, code="enrolment_code_expired", detail="The code is old."), "The code is old."),
        (problem(409, code="enrolment_code_used", title="Used"), "Used"),
        (problem(500), "(500)"),
        (lambda _: web.Response(status=502, body=b"<html>\x1b[2J"), "(502)"),
        (lambda _: web.Response(status=400, body=b"[" * 16000), "(400)"),
        (lambda _: web.json_response({"detail": "evil\x1b[2J\u202e" * 100}, status=400), "evil"),
        (
            lambda _: web.json_response({"reader_id": "0000-0000-0000-0000"}, status=201),
            "not that of an issuer",
        ),
        (lambda _: web.Response(status=201, body=b"hello"), "not that of an issuer"),
        (lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"}), "(302)"),
    ],
    ids=["old", "used", "failed", "html", "deep_json", "nasty_text", "another_reader", "no_json", "redirect"],
)
async def test_a_refusal_pins_nothing_and_says_what_to_do(
    issuer: Issuer, store: FileKeyStore, answer: Any, words: str
) -> None:
    issuer.answer = answer
    candidate = prepared(store, issuer.code())
    with pytest.raises(EnrolmentError) as refusal:
        await enrol(store, candidate)
    assert words in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 500
    assert store.issuer() is None


async def test_an_answer_lost_on_the_way_can_be_made_good_with_a_new_code(
    issuer: Issuer, store: FileKeyStore
) -> None:
    first = prepared(store, issuer.code())
    issuer.answer = problem(409, code="reader_already_enrolled", detail="known")
    again = prepared(store, issuer.code())
    assert again.reader_id == first.reader_id, "the key that was made is used again"
    await enrol(store, again)
    assert store.issuer() is not None


async def test_an_issuer_that_is_not_there(store: FileKeyStore, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    code = EnrolmentCode(EnrolmentKind.READER, url, IssuerId("test-bank"), ISSUER.public_key, SECRET)
    with pytest.raises(EnrolmentError, match="cannot be reached"):
        await enrol(store, prepared(store, code))


async def test_an_issuer_that_does_not_answer(
    issuer: Issuer, store: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "_ANSWER_SECONDS", 0.05)
    never = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    monkeypatch.setattr(issuer, "handle", wait)
    app = web.Application()
    app.router.add_post("/v1/enrolments/reader", wait)
    slow = TestServer(app)
    await slow.start_server()
    with pytest.raises(EnrolmentError, match="did not answer"):
        await enrol(store, prepared(store, Issuer(slow).code()))
    never.set()
    await slow.close()


async def test_enrolled_once_unless_replaced(issuer: Issuer, store: FileKeyStore) -> None:
    await enrol(store, prepared(store, issuer.code()))
    seed = store.seed()
    with pytest.raises(EnrolmentError, match="--replace"):
        prepared(store, issuer.code())
    assert store.seed() == seed
    candidate = prepared(store, issuer.code(), replace=True)
    assert store.seed() == seed
    await enrol(store, candidate)
    assert store.seed() != seed
    assert store.issuer() is not None


def test_plain_http_only_to_this_machine(store: FileKeyStore) -> None:
    code = EnrolmentCode(
        EnrolmentKind.READER, "http://bank.example", IssuerId("bank"), ISSUER.public_key, SECRET
    )
    with pytest.raises(InputError, match="--allow-unencrypted-issuer"):
        prepared(store, code)
    assert store.seed() is None
    prepared(store, code, unencrypted=True)
    for url in ("http://localhost:1", "http://127.9.9.9:1", "http://[::1]:1", "https://bank.example"):
        assert settings.check_transport(url, allow_unencrypted=False) == url
    with pytest.raises(InputError):
        settings.check_transport("http://127.0.0.1.evil.example", allow_unencrypted=False)


def test_a_phones_code_is_not_taken() -> None:
    code = EnrolmentCode(
        EnrolmentKind.HANDSET, "https://bank.example", IssuerId("bank"), ISSUER.public_key, SECRET
    )
    with pytest.raises(InputError) as refusal:
        read_code(code.text())
    assert refusal.value.code == "code_of_a_handset"


def test_the_files_are_their_owners_alone(store: FileKeyStore, tmp_path: Path) -> None:
    store.keep_seed(b"\x05" * 32)
    store.pin_issuer(BANK, SigningKey.from_seed(b"\x05" * 32).public_key)
    assert stat.S_IMODE((tmp_path / "reader").stat().st_mode) == 0o700
    for path in (tmp_path / "reader").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "reader").iterdir()) == ["identity.seed", "issuer.json"]
    (tmp_path / "reader" / "identity.seed").chmod(0o640)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        store.seed()


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "\udcff", "{}", "[]", '{"issuer_id": 3}'])
@pytest.mark.parametrize("name", ["identity.seed", "issuer.json"])
def test_damaged_files_are_named_and_nothing_of_them_is_shown(
    store: FileKeyStore, tmp_path: Path, name: str, content: str
) -> None:
    store.keep_seed(b"\x05" * 32)
    path = tmp_path / "reader" / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(PrivateFileError) as refusal:
        (store.seed if name == "identity.seed" else store.issuer)()
    assert name in str(refusal.value)
    assert "damaged" in str(refusal.value)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FileKeyStore(tmp_path / "file" / "reader")
    with pytest.raises(PrivateFileError):
        store.keep_seed(b"\x05" * 32)


def run(*arguments: str, typed: str = "", data: Path, wait: float = 30) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(data), "PATH": os.environ["PATH"], "BLIND_RELAY_READER_DATA": str(data / "r")}
    return subprocess.run(
        [READER_COMMAND, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        env=environment,
        timeout=wait,
        check=False,
    )


async def test_the_command_enrols_from_a_pipe_and_shows_the_same_fingerprint_later(
    issuer: Issuer, tmp_path: Path
) -> None:
    done = await asyncio.to_thread(run, "enrol", typed=issuer.code().text() + "\n", data=tmp_path)
    assert done.returncode == 0, done.stderr
    fingerprint = reader_id_text(reader_id(issuer.proofs[0].public_key))
    assert f"Reader {fingerprint}" in done.stdout
    assert "Issuer test-bank" in done.stdout
    assert SECRET.hex() not in done.stdout + done.stderr
    later = await asyncio.to_thread(run, "identity", data=tmp_path)
    assert fingerprint in later.stdout
    assert "test-bank" in later.stdout


@pytest.mark.parametrize(
    ("arguments", "typed", "words"),
    [
        (["run"], "", "not enrolled yet"),
        (["identity"], "", "not enrolled yet"),
        (["enrol"], "", "begins with"),
        (["enrol"], "brr1.AAAA", "missing or mistyped"),
        (["run", "--radio", "virtual-serve:0.0.0.0:7901"], "", "virtual-serve:127.0.0.1:PORT"),
        (["run", "--radio-interval", "30"], "", "real air makes its own"),
        (["run", "--radio-loss", "0.2"], "", "real air makes its own"),
        (["run", "--radio", "nonsense"], "", "virtual-serve:127.0.0.1:PORT"),
        (["enrol", "--ca-file", "/nowhere"], "brr1.AAAA", "missing or mistyped"),
    ],
)
def test_what_a_person_may_meet_is_said_in_words(
    tmp_path: Path, arguments: list[str], typed: str, words: str
) -> None:
    done = run(*arguments, typed=typed, data=tmp_path)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def enrolled(tmp_path: Path) -> Path:
    store = FileKeyStore(tmp_path / "r")
    store.keep_seed(b"\x05" * 32)
    store.pin_issuer(BANK, SigningKey.from_seed(b"\x05" * 32).public_key)
    return tmp_path


def test_a_port_in_use_is_said_in_words(enrolled: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("run", "--radio", f"virtual-serve:127.0.0.1:{port}", data=enrolled)
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_weather_that_cannot_be_is_said_in_words(enrolled: Path) -> None:
    done = run("run", "--radio", "virtual-serve:127.0.0.1:7901", "--radio-loss", "0.2", data=enrolled)
    assert done.returncode == 2
    assert "give --radio-interval" in done.stderr


def test_a_machine_without_bluetooth_is_told_so(enrolled: Path) -> None:
    if Path("/run/dbus/system_bus_socket").exists():
        pytest.skip("this machine has a system bus")
    done = run("run", data=enrolled)
    assert done.returncode == 1
    assert "Bluetooth cannot be used" in done.stderr
    assert "--radio virtual-serve" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_it_is_told_to_stop(enrolled: Path, unused_tcp_port: int, how: signal.Signals) -> None:
    environment = {"PATH": os.environ["PATH"], "BLIND_RELAY_READER_DATA": str(enrolled / "r")}
    process = subprocess.Popen(
        [READER_COMMAND, "run", "--radio", f"virtual-serve:127.0.0.1:{unused_tcp_port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout
    said = ""
    while "advertising as BR-" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    assert "Ready" in said
    process.send_signal(how)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


def test_main_gives_the_status_of_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BLIND_RELAY_READER_DATA", str(tmp_path))
    assert main(["identity"]) == 1
    assert main(["run", "--radio", "x"]) == 2
    assert "reader-peripheral:" in capsys.readouterr().err
