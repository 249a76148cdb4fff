"""The issuer's settings: what may stand in the file, and that plain HTTP stays on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from issuer_server.operations.operating_settings import LogFormat, MetricsSettings, TracingSettings
from issuer_server.payment import Deadlines
from issuer_server.settings import Settings, load_settings, settings_from
from protocol.errors import InputError

LEAST: dict[str, Any] = {"issuer_id": "bank.example", "database": "issuer.db", "keys": "keys"}


def test_a_file_with_the_least(tmp_path: Path) -> None:
    file = tmp_path / "issuer.toml"
    file.write_text('issuer_id = "bank.example"\ndatabase = "issuer.db"\nkeys = "/etc/keys"\n')
    settings = load_settings(file)
    assert (settings.database, settings.keys) == (tmp_path / "issuer.db", Path("/etc/keys"))
    assert (settings.host, settings.deadlines) == ("127.0.0.1", Deadlines(10, 60, 60, 60))
    assert settings.pin_attempts_per_payment == 1
    assert (settings.metrics, settings.tracing, settings.log.format) == (None, None, LogFormat.AUTO)


def test_everything_set(tmp_path: Path) -> None:
    settings = settings_from(
        {
            **LEAST,
            "host": "0.0.0.0",
            "port": 443,
            "public_url": "https://bank.example",
            "tls_certificate": "cert.pem",
            "tls_key": "key.pem",
            "deadlines": {"call": 5, "approval": 30.5, "card": 45, "pin": 20},
            "pin_attempts_per_payment": 3,
            "stop_grace": 2,
            "metrics": {"host": "0.0.0.0", "port": 9000},
            "log": {"format": "json", "level": "warning"},
            "tracing": {"endpoint": "https://collector.example/v1/traces", "sample": 0.1},
        },
        tmp_path,
    )
    assert settings.deadlines == Deadlines(5, 30.5, 45, 20)
    assert settings.tls_certificate == tmp_path / "cert.pem"
    assert settings.has_tls
    assert settings.metrics == MetricsSettings("0.0.0.0", 9000)
    assert (settings.log.format, settings.log.number) == (LogFormat.JSON, 30)
    assert settings.tracing == TracingSettings("https://collector.example/v1/traces", 0.1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"issuer_id": "Bank!"}, "issuer id"),
        ({"keys": None}, "keys"),
        ({"colour": "red"}, "colour"),
        ({"port": "80"}, "port"),
        ({"port": True}, "port"),
        ({"port": 70000}, "port"),
        ({"deadlines": {"card": 0}}, "card"),
        ({"deadlines": {"card": True}}, "deadlines"),
        ({"deadlines": {"tea": 5}}, "deadlines"),
        ({"pin_attempts_per_payment": 4}, "pin_attempts_per_payment"),
        ({"pin_attempts_per_payment": 0}, "pin_attempts_per_payment"),
        ({"stop_grace": -1}, "stop_grace"),
        ({"webhook_days_kept": -1}, "webhook_days_kept"),
        ({"public_url": "bank.example"}, "public_url"),
        ({"public_url": "https://bank.example:0"}, "public_url"),
        ({"tls_key": "key.pem"}, "tls_certificate"),
        ({"host": "0.0.0.0"}, "plain HTTP"),
        ({"host": "192.168.1.5"}, "plain HTTP"),
        ({"host": "bank.example"}, "plain HTTP"),
        ({"host": ""}, "plain HTTP"),
        ({"host": "::"}, "plain HTTP"),
        ({"metrics": {"host": "0.0.0.0"}}, "metrics go over plain HTTP"),
        ({"metrics": {"port": "9480"}}, "port of \\[metrics\\]"),
        ({"metrics": {"port": 70000}}, "port of \\[metrics\\]"),
        ({"metrics": {"colour": 1}}, "takes host, port"),
        ({"metrics": 9480}, "metrics"),
        ({"log": {"format": "xml"}}, "auto, plain, json"),
        ({"log": {"level": "loud"}}, "debug, info"),
        ({"tracing": {}}, "endpoint"),
        ({"tracing": {"endpoint": "collector:4318"}}, "http://127"),
        ({"tracing": {"endpoint": "http://user:word@127.0.0.1:4318"}}, "http://127"),
        ({"tracing": {"endpoint": "http://collector.example/v1/traces"}}, "https"),
        ({"tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces", "sample": 2}}, "sample"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError) as refusal:
        settings_from({**LEAST, **changes}, tmp_path)
    assert re.search(word, str(refusal.value))


@pytest.mark.parametrize("missing", LEAST)
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        settings_from({name: value for name, value in LEAST.items() if name != missing}, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_plain_http_is_for_this_machine(tmp_path: Path, host: str) -> None:
    assert settings_from({**LEAST, "host": host}, tmp_path).is_loopback


def test_plain_http_elsewhere_must_be_forced(tmp_path: Path) -> None:
    forced = {**LEAST, "host": "0.0.0.0", "insecure_plain_http_on_a_public_address": True}
    assert isinstance(settings_from(forced, tmp_path), Settings)


def test_a_file_that_cannot_be_read_or_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_settings(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    for content in (b"issuer_id = ", b"\xff\xfe"):
        bad.write_bytes(content)
        with pytest.raises(InputError, match="not TOML"):
            load_settings(bad)
