"""The four commands alike: `python -m` starts each, and each keeps its data where `--data` says."""

from __future__ import annotations

import importlib
import runpy
import sys

import pytest

PACKAGES = ("issuer_server", "reader_peripheral", "handset_client", "merchant_terminal", "demo")


@pytest.mark.parametrize("package", PACKAGES)
def test_python_m_runs_the_command(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [package, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(package, run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("package", ["issuer_server", "reader_peripheral", "handset_client"])
def test_where_data_is_kept_has_one_name(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = importlib.import_module(f"{package}.cli").main
    with pytest.raises(SystemExit):
        command(["run", "--help"])
    assert "--data DIR" in capsys.readouterr().out
