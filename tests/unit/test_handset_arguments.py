"""What `handset-client` is told on its command line: numbers that cannot be, and readers by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.cli import build_parser, main
from handset_client.preferences import Preferences
from protocol.identifiers import ReaderId

ONE, TWO = ReaderId(b"\x01" * 8), ReaderId(b"\x02" * 8)


@pytest.mark.parametrize("seconds", ["-3", "0", "nan", "inf", "1e9", "four"])
def test_a_time_to_listen_that_cannot_be_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["readers", f"--seconds={seconds}"])
    assert ended.value.code == 2
    assert "0.1 to 60" in capsys.readouterr().err
    assert build_parser().parse_args(["readers", "--seconds", "0.5"]).seconds == 0.5


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_cannot_be_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["run", f"--port={port}"])
    assert ended.value.code == 2
    assert "0 to 65535" in capsys.readouterr().err
    assert build_parser().parse_args(["run", "--port", "47860"]).port == 47860


def test_the_chosen_reader_is_forgotten_by_its_name_though_never_met(tmp_path: Path) -> None:
    store = PreferencesFile(tmp_path)
    store.save(Preferences(reader=ONE, readers=(TWO,)))
    assert main(["readers", "forget", "BR-0101", "--data", str(tmp_path)]) == 0
    assert store.load() == Preferences(readers=(TWO,))
    assert main(["readers", "forget", "BR-0101", "--data", str(tmp_path)]) == 1
