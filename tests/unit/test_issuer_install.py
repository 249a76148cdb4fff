"""What puts an issuer on a server: unit and scripts say what they must, the guide names real settings."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from issuer_server.cli import build_parser
from issuer_server.key_custody.file_keys import KEY_FILES
from issuer_server.settings import settings_from
from issuer_server.tls import ServerTls
from tests.unit.test_issuer_api_tls import make_certificate

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "blind-relay-issuer.service"
CREDENTIALS = PACKAGING / "blind-relay-issuer-credentials.conf"
GUIDE = (ROOT / "docs" / "issuer-operations.md").read_text("utf-8")
SNIPPETS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = re.findall(r"^(?:sudo )?issuer-server ([^\n#\\]*)", GUIDE, re.MULTILINE)


class Unit(configparser.RawConfigParser):
    """A unit file with case kept; settings that stand twice count once."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit() -> dict[str, str]:
    parser = Unit(strict=False)
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_settings_of_the_guide_are_settings(snippet: str, tmp_path: Path) -> None:
    least = {"issuer_id": "bank.example", "database": "issuer.db", "keys": "keys"}
    settings_from({**least, **tomllib.loads(snippet)}, tmp_path)


def test_the_usual_values_that_the_guide_shows_are_those(tmp_path: Path) -> None:
    least = {"issuer_id": "bank.example", "database": "issuer.db", "keys": "keys"}
    shown = tomllib.loads(SNIPPETS[0])
    assert {"deadlines", "limits", "stop_grace"} <= set(shown)
    assert settings_from({**least, **shown}, tmp_path) == settings_from(least, tmp_path)


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_the_commands_of_the_guide_are_commands(command: str) -> None:
    words = shlex.split(command.replace("$(date +%F)", "x"))
    if "--help" not in words:  # help ends the process
        build_parser().parse_args(words)


def test_the_guide_shows_something() -> None:
    assert len(SNIPPETS) >= 3
    assert len(COMMANDS) >= 10


def test_the_service_may_do_little_and_leaves_nothing_on_a_disk() -> None:
    service = unit()
    wanted = {
        "Type": "notify",
        "User": "blind-relay-issuer",
        "LimitCORE": "0",
        "MemorySwapMax": "0",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "PrivateDevices": "yes",
        "ProtectSystem": "strict",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    }
    assert wanted.items() <= service.items()
    state = service["StateDirectory"]
    assert f"BLIND_RELAY_ISSUER_DATA=/var/lib/{state}" in service["Environment"]


def test_every_key_has_its_credential() -> None:
    found = re.findall(
        r"^LoadCredential=([^:]+):/etc/blind-relay/issuer-keys/(.+)$", CREDENTIALS.read_text(), re.M
    )
    assert {name for name, _ in found} == set(KEY_FILES)
    assert all(name == file for name, file in found)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_knows_every_line_and_finds_the_sandbox_tight(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    drop_in = tmp_path / f"{UNIT.name}.d"
    drop_in.mkdir()
    shutil.copy(CREDENTIALS, drop_in)
    verify = ["systemd-analyze", "verify", "--man=no", copy]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "blind-relay-issuer" in line] == []
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" not in judged.stderr:  # before systemd 250
        assert judged.returncode == 0, judged.stdout[-2000:]


@pytest.mark.parametrize("script", ["install-issuer.sh", "issuer-server"])
def test_the_scripts_are_clean(script: str) -> None:
    path = PACKAGING / script
    assert os.access(path, os.X_OK)
    shell = "bash" if script.endswith(".sh") else "sh"
    assert subprocess.run([shell, "-n", path], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-x", path], capture_output=True, text=True, check=False)
        assert done.stdout == ""


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the script is for Debian")
def test_a_dry_run_changes_nothing_and_names_all_it_would_do() -> None:
    script = PACKAGING / "install-issuer.sh"
    done = subprocess.run([script, "--dry-run"], capture_output=True, text=True, check=True, timeout=60)
    for part in ("venv", "/etc/systemd/system/", "issuer-server init", "0700 -o blind-relay-issuer"):
        assert part in done.stdout
    assert not done.stderr
    wrong = subprocess.run([script, "--dryrun"], capture_output=True, check=False)
    assert wrong.returncode == 2


def test_the_guides_renewal_hook_brings_a_certificate_that_the_issuer_takes_up(tmp_path: Path) -> None:
    """Run as it stands but for places and owner: those of a real installation are root's to make."""
    [hook] = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", GUIDE, re.DOTALL)
    to, said, programs = tmp_path / "tls", tmp_path / "said", tmp_path / "bin"
    hook = hook.replace("/var/lib/blind-relay-issuer/tls", str(to))
    for option, number in (("-o", os.getuid()), ("-g", os.getgid())):
        hook = hook.replace(f"{option} blind-relay-issuer", f"{option} {number}")
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{shlex.quote(str(said))}\n')
    (tmp_path / "hook").write_text(hook)
    for program in (programs / "systemctl", tmp_path / "hook"):
        program.chmod(0o755)
    served: ServerTls | None = None
    for year in (1, 2):
        lineage = tmp_path / f"renewed {year}"
        lineage.mkdir()
        certificate, key = make_certificate(lineage)
        certificate = certificate.rename(lineage / "fullchain.pem")
        key.rename(lineage / "privkey.pem")
        path = f"{programs}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "RENEWED_LINEAGE": str(lineage)}
        subprocess.run([tmp_path / "hook"], env=environment, check=True, timeout=30)
        assert {stat.S_IMODE(file.stat().st_mode) for file in to.iterdir()} == {0o600}
        assert (to / "fullchain.pem").read_bytes() == certificate.read_bytes()
        served = served or ServerTls(to / "fullchain.pem", to / "privkey.pem")
        served.reload()  # it refuses a key that is not the certificate's
    assert said.read_text() == "try-reload-or-restart blind-relay-issuer\n" * 2
