"""`issuer-server init` where an issuer is set up already: its settings stay, and the command says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from issuer_server.cli import main

Capture = pytest.CaptureFixture[str]


def init(data: Path, *words: str) -> int:
    return main(["init", "--data", str(data), *words])


def test_the_settings_file_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert init(tmp_path / "d", "--json") == 0
    settings = Path(json.loads(capsys.readouterr().out)["settings"])
    assert settings == tmp_path / "d" / "issuer.toml"
    assert 'issuer_id = "issuer.local"' in settings.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "9000"], "port (now 8481)"),
        (
            ["--issuer-id", "other.test", "--host", "127.0.0.2"],
            "issuer_id (now bank.test), host (now 127.0.0.1)",
        ),
        (["--public-url", "https://bank.test"], "public_url (now not set)"),
        (["--tls-certificate", "cert.pem", "--tls-key", "key.pem"], "tls_certificate (now not set), tls_key"),
    ],
)
def test_an_option_that_a_setting_contradicts_is_refused(
    tmp_path: Path, capsys: Capture, words: list[str], said: str
) -> None:
    data = tmp_path / "d"
    assert init(data, "--issuer-id", "bank.test", "--port", "8481") == 0
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert init(data, *words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "nothing was changed" in err
    assert str(data / "issuer.toml") in err
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_the_same_options_again_are_no_contradiction(tmp_path: Path, capsys: Capture) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    words = ["--port", "8481", "--public-url", "https://bank.test"]
    words += ["--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    assert init(tmp_path / "d", *words) == 0
    first = capsys.readouterr().out
    assert init(tmp_path / "d", *words) == 0
    assert init(tmp_path / "d") == 0
    assert capsys.readouterr().out == first * 2
