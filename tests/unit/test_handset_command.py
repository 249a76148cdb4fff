"""The command handset-client as a person uses it: enrolling, refusing, stopping."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import segno
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from bless.backends.attribute import GATTAttributePermissions
from bless.backends.characteristic import GATTCharacteristicProperties

from handset_client.adapters.credential_file import FILE_NAME, CredentialFile
from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.cli import main
from handset_client.effects import TurnedAway
from handset_client.ports import Credential
from handset_client.preferences import Preferences
from handset_client.settings import check_transport
from handset_client.texts import japanese
from handset_client.wording import Language
from protocol import gatt
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import InputError
from protocol.identifiers import HandsetId, IssuerId, PhoneNumber, PublicKey, ReaderId, mint
from virtual_radio.bless_backend import VirtualBlessServer
from virtual_radio.ether import Ether

TOKEN = "token-of-this-phone"
HANDSET = HandsetId(mint("hst", b"\x01" * 16))
SECRET = bytes(range(16))
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
"""No test writes into the keyring of whoever runs it."""


class Issuer:
    """The two addresses of an issuer that a handset knows."""

    def __init__(self) -> None:
        self.answer: tuple[int, Any] = (
            201,
            {"handset_id": HANDSET, "token": TOKEN, "phone": "+819012345678"},
        )
        self.asked: list[Any] = []
        self.connected = asyncio.Event()
        self.turns_away = False

    async def enrol(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        status, body = self.answer
        if isinstance(body, bytes):
            return web.Response(status=status, body=body)
        return web.json_response(body, status=status)

    async def channel(self, request: web.Request) -> web.StreamResponse:
        if self.turns_away:
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.json()["type"] == "hello":
                await socket.send_json(
                    {"type": "welcome", "session": "s", "received": 0, "phone": "+819012345678"}
                )
                self.connected.set()
        return socket


@pytest.fixture
async def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def url(issuer: Issuer) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/v1/enrolments/handset", issuer.enrol)
    application.router.add_get("/v1/handset/channel", issuer.channel)
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


def code(url: str, kind: EnrolmentKind = EnrolmentKind.HANDSET) -> str:
    return EnrolmentCode(kind, url, IssuerId("bank"), PublicKey(b"\x01" * 32), SECRET).text()


async def start(arguments: Sequence[str], data: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "handset_client",
        *arguments,
        "--data",
        str(data),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        },
    )


async def run(arguments: Sequence[str], data: Path, typed: str = "") -> tuple[int | None, str, str]:
    process = await start(arguments, data)
    async with asyncio.timeout(30):
        out, err = await process.communicate(typed.encode())
    return process.returncode, out.decode(), err.decode()


async def test_enrolling_from_standard_input(issuer: Issuer, url: str, tmp_path: Path) -> None:
    status, out, err = await run(["enrol"], tmp_path, code(url) + "\n")
    assert (status, err) == (0, "")
    assert "Enrolled with bank as +819012345678" in out
    assert issuer.asked == [{"secret": "AAECAwQFBgcICQoLDA0ODw"}]
    assert CredentialFile(tmp_path).load() == Credential(
        url, IssuerId("bank"), HANDSET, PhoneNumber("+819012345678"), TOKEN
    )
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert TOKEN not in out


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ((404, {"code": "enrolment_code_unknown"}), "does not know this code. The code was made by bank"),
        ((409, {"code": "enrolment_code_used"}), "used up"),
        ((410, {"code": "enrolment_code_expired"}), "older than 24 hours"),
        ((404, b"<html>"), "Is it your bank's address?"),
        ((404, {"code": "enrolment_not_found"}), "Ask for a new one"),
        ((422, []), "Ask for a new one"),
        ((410, {}), "Ask for a new one"),
        ((500, {}), "Try again later"),
        ((201, []), "not what a handset expects"),
        ((201, {"token": "t"}), "not what a handset expects"),
        ((201, {"handset_id": HANDSET, "token": "a\nb", "phone": "+819012345678"}), "not what a handset"),
        ((201, b"\xff{"), "not what a handset expects"),
        ((201, b"x" * 100_000), "too long"),
        ((302, {}), "Try again later"),
    ],
    ids=str,
)
async def test_an_enrolment_that_fails_says_what_to_do(
    issuer: Issuer, url: str, tmp_path: Path, answer: tuple[int, Any], wanted: str
) -> None:
    issuer.answer = answer
    status, _, err = await run(["enrol"], tmp_path, code(url) + "\n")
    assert status == 1
    assert wanted in err
    assert "Traceback" not in err
    assert CredentialFile(tmp_path).load() is None


async def test_a_folder_that_takes_nothing_does_not_use_up_the_code(
    issuer: Issuer, url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    status, _, err = await run(["enrol"], tmp_path / "file", code(url) + "\n")
    assert status
    assert "Traceback" not in err
    assert issuer.asked == []


async def test_an_issuer_that_is_not_there(tmp_path: Path, unused_tcp_port: int) -> None:
    status, _, err = await run(["enrol"], tmp_path, code(f"http://127.0.0.1:{unused_tcp_port}"))
    assert status == 1
    assert "the code is still good" in err


def test_a_code_is_never_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["enrol", code("https://issuer.example")])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("", "begins with brh1."),
        ("rubbish\n", "begins with brh1."),
        ("brh1.AAAA\n", "copy it again"),
        (code("https://issuer.example", EnrolmentKind.READER) + "\n", "reader-peripheral enrol"),
        (code("http://issuer.example") + "\n", "plain http"),
    ],
    ids=["nothing", "rubbish", "cut", "a reader's", "unencrypted"],
)
async def test_a_code_that_cannot_be_used(tmp_path: Path, typed: str, wanted: str) -> None:
    status, _, err = await run(["enrol"], tmp_path, typed)
    assert status == 1
    assert wanted in err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "handset-client enrol"),
        (["--headless"], "give both"),
        (["--approve-below", "50", "USD"], "give both"),
        (["--headless", "--approve-below", "fifty", "USD"], "digits"),
        (["--headless", "--approve-below", "50", "USD", "--terminal"], "give one of them"),
        (["--headless", "--approve-below", "50", "XXY"], "ISO 4217"),
        (["--reader", "nonsense"], "four groups"),
    ],
    ids=str,
)
async def test_a_wrong_command_line_says_what_is_right(
    tmp_path: Path, arguments: list[str], wanted: str
) -> None:
    status, _, err = await run(["run", *arguments], tmp_path)
    assert status == 1
    assert wanted in err


@pytest.mark.parametrize(
    "radio", ["wifi", "virtual", "virtual:127.0.0.1", "virtual:127.0.0.1:x", "virtual:8.8.8.8:1"]
)
async def test_a_radio_that_does_not_exist(url: str, tmp_path: Path, radio: str) -> None:
    enrolled(tmp_path, url)
    status, _, err = await run(["run", "--radio", radio], tmp_path)
    assert status == 1
    assert "127.0.0.1" in err


async def test_who_is_turned_away_reads_why_in_their_language(
    issuer: Issuer, url: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    issuer.turns_away = True
    enrolled(tmp_path, url)
    PreferencesFile(tmp_path).save(Preferences(language=Language.JAPANESE))
    radio = ["--radio", f"virtual:127.0.0.1:{unused_tcp_port}"]
    status, _, err = await run(["run", "--terminal", *radio], tmp_path)
    assert (status, err.count("\n")) == (1, 1)
    assert japanese.TURNED_AWAY[TurnedAway.CREDENTIAL_UNKNOWN] in err


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_good_order(
    issuer: Issuer, url: str, tmp_path: Path, number: signal.Signals, unused_tcp_port: int
) -> None:
    enrolled(tmp_path, url)
    process = await start(["run", "--terminal", "--radio", f"virtual:127.0.0.1:{unused_tcp_port}"], tmp_path)
    async with asyncio.timeout(30):
        await issuer.connected.wait()
        assert process.stdout is not None
        shown = await process.stdout.readline()
        process.send_signal(number)
        _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert shown.decode() == "Connected to your bank as +819012345678. Waiting to be called.\n"


@pytest.mark.parametrize(
    "url", ["https://issuer.example", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"]
)
def test_plain_http_stays_on_this_machine(url: str) -> None:
    assert check_transport(url, allow_unencrypted=False) == url


@pytest.mark.parametrize(
    "url",
    ["http://issuer.example", "http://10.0.0.1", "http://127.0.0.1.evil.example", "http://localhost.evil"],
)
def test_plain_http_elsewhere_must_be_asked_for_by_name(url: str) -> None:
    with pytest.raises(InputError, match="--allow-unencrypted-issuer"):
        check_transport(url, allow_unencrypted=False)
    assert check_transport(url, allow_unencrypted=True) == url


async def test_enrolling_from_a_picture(issuer: Issuer, url: str, tmp_path: Path) -> None:
    segno.make(code(url), error="m").save(str(tmp_path / "code.png"), scale=5)
    status, out, err = await run(["enrol", "--qr", str(tmp_path / "code.png")], tmp_path)
    assert (status, err) == (0, "")
    assert "can be deleted" in out
    credential = CredentialFile(tmp_path).load()
    assert credential is not None
    assert credential.token == TOKEN


async def test_forgetting(issuer: Issuer, url: str, tmp_path: Path) -> None:
    enrolled(tmp_path, url)
    (tmp_path / "payments.jsonl").write_text("{}\n")
    status, out, _ = await run(["forget"], tmp_path)
    assert status == 0
    assert f"tell them to block {HANDSET}" in out
    assert names(tmp_path) == ["payments.jsonl"]
    (tmp_path / "owed.json.h3x_k2.new").write_text("[]\n")  # a save that was killed
    status, out, _ = await run(["forget", "--history"], tmp_path)
    assert (status, names(tmp_path)) == (0, [])
    assert "nothing of one is left" in out


async def test_readers_are_listed_chosen_and_forgotten(tmp_path: Path) -> None:
    near, far = ReaderId(bytes.fromhex("0a1b2c3d4e5f6071")), ReaderId(bytes.fromhex("0affffffffffffff"))
    preferences = PreferencesFile(tmp_path)
    async with Ether() as ether:
        server = VirtualBlessServer(gatt.device_name(near), await ether.add_device("reader"))
        server.read_request_func = lambda characteristic: characteristic.value
        await server.add_new_service(gatt.SERVICE_UUID)
        info = bytearray(gatt.ReaderInfo((1,), near, 1, (0, 1)).encode())
        readable = (GATTCharacteristicProperties.read, info, GATTAttributePermissions.readable)
        await server.add_new_characteristic(gatt.SERVICE_UUID, gatt.READER_INFO_UUID, *readable)
        await server.start()
        port = await ether.serve("127.0.0.1", 0)
        radio = ["--radio", f"virtual:127.0.0.1:{port}", "--seconds", "0.5"]

        status, out, err = await run(["readers", *radio], tmp_path)
        assert (status, err) == (0, "")
        assert "0a1b-2c3d-4e5f-6071" in out
        assert "dBm" in out
        assert "None is chosen" in out

        # A name counts when its reader is in range or was used before; a whole id always.
        status, out, err = await run(["readers", *radio, "choose", "BR-0a1b"], tmp_path)
        assert (status, err) == (0, "")
        assert preferences.load().reader == near
        _, out, _ = await run(["readers", *radio, "--json"], tmp_path)
        listed = json.loads(out)
        assert listed["chosen"] == listed["in_range"][0]["reader_id"] == "0a1b-2c3d-4e5f-6071"
        await server.stop()

    preferences.save(preferences.load().saw(far).saw(near))
    status, _, err = await run(["readers", "choose", "0a"], tmp_path)
    assert (status, "Give more of the id" in err) == (1, True)
    assert (await run(["readers", "choose", "0aff-ffff-ffff-ffff"], tmp_path))[0] == 0
    assert preferences.load().reader == far
    assert (await run(["readers", "forget", "0aff"], tmp_path))[0] == 0
    assert (preferences.load().reader, preferences.load().readers) == (None, (near,))
    assert (await run(["readers", "forget"], tmp_path))[0] == 0
    assert preferences.load().readers == ()


async def test_a_list_of_readers_without_bluetooth_says_what_is_missing(tmp_path: Path) -> None:
    status, _, err = await run(["readers", "--seconds", "0.2"], tmp_path)
    if status == 0:
        pytest.skip("this machine has Bluetooth")
    assert "Bluetooth" in err
    assert "Traceback" not in err


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def enrolled(data: Path, url: str) -> None:
    phone = PhoneNumber("+819012345678")
    CredentialFile(data).save(Credential(url, IssuerId("bank"), HANDSET, phone, TOKEN))
