"""Files that hold anything but what they should: one line, with the file, the line in it and what to do."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from protocol.signing import SigningKey
from reader_peripheral import cli
from reader_peripheral.adapters import private_files
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.adapters.owed_file import OwedFile
from reader_peripheral.adapters.private_files import read_private
from reader_peripheral.commands import learn
from reader_peripheral.settings import DisplayKind, read_settings
from reader_peripheral.settings_text import SettingsText, _unreadable
from tests.unit.reader_enrolment_bench import BANK

# What a codec, a parser or an errno would say, and no person should have to read.
MACHINE_WORDS = re.compile(r"codec|Errno|0x[0-9a-f]{2}\b|byte|Traceback|Error\b|JSON|\\x|column \d")
NO_FILES = ("folder", "pipe", "device", "huge")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own process stays as it is: locked memory would be everybody's."""
    for module in (cli, learn):
        monkeypatch.setattr(module, "harden_process", lambda: None)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"[display]\n\n# caf\xe9\n", 3, "Save the file as UTF-8"),
        ("[display]\n".encode("utf-16"), 1, "Save the file as UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\x00", 1, "Correct it as in"),
        (b'[display]\nkind = lcd\n[swiper]\nkind = "terminal"\n', 2, "kind = lcd"),
        (b'[display\nkind = "lcd"', 1, "Correct it as in"),
        (b'[display]\nkind = "lcd', 2, "Correct it as in"),
        (b"[display]\nx = " + b"9" * 5000, 2, "too long"),
        (b"[display]\nx = " + b"[" * 5000, 2, "brackets"),
        (b'# mine\n[display]\nknid = "lcd"\n', 3, "Did you mean kind?"),
        (b'[swiper]\nkind = "terminal"\n[display]\nkind = "oled"\n', 4, '"ssd1306"'),
        (b"[display]\nrows = 2\n\ncolumns = 17\n", 2, "16 and 2, or 20 and 4"),
        (b'[bluetooth]\nencrypt = false\nadapter = "usb"\n', 3, "hci0"),
        (b'[display]\nlanguage = "ja"\n[dsplay]\n', 3, "Did you mean [display]?"),
        (b'[display]\n[swiper]\nkind = "keyboard"\n', 2, "learn swiper"),
    ],
)
def test_settings_that_are_none_name_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, line: int, says: str
) -> None:
    path = tmp_path / "reader.toml"
    path.write_bytes(content)
    said = _fails(capsys, "test-display", "--settings", str(path))
    assert f"{path}, line {line}: " in said
    assert says in said


def test_settings_before_any_section_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reader.toml"
    path.write_text('kind = "lcd"\n')
    assert f"{path}: kind stands before any section" in _fails(
        capsys, "test-display", "--settings", str(path)
    )


def test_a_mark_before_the_first_line_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "reader.toml"
    path.write_bytes(b'\xef\xbb\xbf[display]\r\nkind = "lcd"\r\n')
    assert read_settings(path).display.kind is DisplayKind.LCD


@pytest.mark.parametrize(
    ("what", "command"),
    [
        *((what, "learn") for what in ("folder", "pipe", "device", "huge")),  # what is missing it makes
        *(
            (what, "test-display")
            for what in ("folder", "pipe", "device", "huge", "missing", "beneath a file")
        ),
    ],
)
def test_what_is_no_settings_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, command: str
) -> None:
    path = tmp_path / "reader.toml"
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)  # nobody writes into it: reading would wait
        case "device":
            path = Path("/dev/zero")
        case "huge":
            path.write_bytes(bytes(100_000))
        case "beneath a file":
            (tmp_path / "file").write_text("")
            path = tmp_path / "file" / "reader.toml"
    said = _fails(capsys, command, "--settings", str(path))
    assert str(path) in said
    assert "--settings" in said


def test_settings_that_may_not_be_read_name_the_command_that_helps(tmp_path: Path) -> None:
    text = _unreadable(tmp_path / "my reader.toml", PermissionError(13, "Permission denied"))
    assert text.endswith(f"Run: sudo chmod a+rX '{tmp_path}/my reader.toml'")


def test_learn_says_so_before_anybody_swipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reader.toml"
    path.write_bytes(b"[display]\nkind = \xff\n")
    assert f"{path}, line 2" in _fails(capsys, "learn", "swiper", "--settings", str(path))
    assert path.read_bytes() == b"[display]\nkind = \xff\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"", 1), (b"\xff" * 32, 1), (b"00" * 31, 1), (b"\n\n\xfe", 3), (b'{"a":\n1,}', 1), (b"[" * 9000, 1)],
)
def test_a_damaged_identity_names_file_line_and_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, line: int
) -> None:
    path = tmp_path / "identity.seed"
    path.write_bytes(content)
    path.chmod(0o600)
    for command in ("run", "identity"):
        said = _fails(capsys, command, "--data", str(tmp_path))
        assert f"{path}, line {line}: this file is damaged" in said
        assert said.rstrip().endswith(f"enrol --replace --data {tmp_path}")
        held = content.decode("ascii", "ignore").strip()
        assert not held or held not in said


@pytest.mark.parametrize(
    ("content", "line"), [(b'{"issuer_id":\n1,}', 2), (b"[" * 9000, 1), (b"\n\xff", 2), (b"{}", 1)]
)
def test_a_damaged_issuer_names_file_and_line_and_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, line: int
) -> None:
    FileKeyStore(tmp_path).keep_seed(b"\x05" * 32)
    path = tmp_path / "issuer.json"
    path.write_bytes(content)
    path.chmod(0o600)
    assert f"{path}, line {line}: this file is damaged" in _fails(capsys, "run", "--data", str(tmp_path))
    # What `enrol --replace` does.
    store = FileKeyStore(tmp_path)
    store.keep_seed(b"\x06" * 32)
    store.pin_issuer(BANK, SigningKey.from_seed(b"\x06" * 32).public_key)
    assert (store.seed(), store.issuer()) == (b"\x06" * 32, BANK)


@pytest.mark.parametrize("what", ["folder", "pipe", "huge"])
def test_an_identity_that_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    path = tmp_path / "identity.seed"
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path, 0o600)
        case _:
            path.write_bytes(b"0" * (private_files._LARGEST + 1))
            path.chmod(0o600)
    said = _fails(capsys, "identity", "--data", str(tmp_path))
    assert str(path) in said
    assert "--data" in said


def test_a_data_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    said = _fails(capsys, "identity", "--data", str(tmp_path / "file"))
    assert f"{tmp_path}/file is no folder. Name another with --data" in said


def test_what_waits_for_a_result_may_be_damaged_and_the_reader_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    path = tmp_path / "owed.json"
    path.write_bytes(b"[\n{\n\xff")
    path.chmod(0o600)
    assert OwedFile(tmp_path).load() == ()
    assert f"{path}, line 3: this file is damaged and left out" in caplog.text
    assert "ask the shop" in " ".join(caplog.text.split())
    path.chmod(0o644)
    assert OwedFile(tmp_path).load() == ()
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("code", [b"\xff\xfe\x00", b"", b"\n", b"brr1.\xc3", bytes(range(256)) * 40])
def test_a_code_that_is_garbage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: bytes
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(code), "ascii"))
    said = _fails(capsys, "enrol", "--data", str(tmp_path / "data"))
    assert "enrolment code" in said.lower()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\n!\n"])
def test_certificates_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Exception, match=re.escape(str(path))) as refusal:
        cli.settings.tls_context(str(path))
    assert not MACHINE_WORDS.search(str(refusal.value))


def test_places_are_found_however_a_file_is_written(tmp_path: Path) -> None:
    text = SettingsText(tmp_path, '# x\n[ a ] # first\n"k" = 1\n[b]\nk= 2\n')
    assert text.place("a", "k").endswith("line 3")
    assert text.place("b", "k").endswith("line 5")
    assert text.place("b").endswith("line 4")
    assert text.place("c", "k") == str(tmp_path)


def test_reading_nothing_is_none(tmp_path: Path) -> None:
    assert read_private(tmp_path / "none") is None


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says, in one line without a machine's words; it fails."""
    assert cli.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("reader-peripheral: ")
    assert said.count("\n") == 1
    assert not MACHINE_WORDS.search(said.replace("--data", "")), said
    return said
