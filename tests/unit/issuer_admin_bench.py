"""`issuer-server` run in this process on a data directory of its own, for tests of its commands."""

from __future__ import annotations

import io
import json

import pytest

from issuer_server.cli import main


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Run `issuer-server …` on a data directory of its own: exit status, standard output, standard error."""

    def run(*words, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main([*words, "--data", str(tmp_path / "data")])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def ready(command):
    """The same, after `init`; `ready.json(…)` gives the parsed output of a command that must succeed."""

    def as_json(*words, stdin=""):
        status, out, err = command(*words, "--json", stdin=stdin)
        assert status == 0, err
        return json.loads(out)

    assert command("init")[0] == 0
    command.json = as_json
    return command


def add_cardholder(ready, phone="+81 90 1234 5678"):
    return ready.json("cardholder", "add", "--name", "Hanako Yamada", "--phone", phone)["id"]
