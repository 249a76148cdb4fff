"""What packaging/install-reader.sh does to a machine that is not its own: parts of it, run in a folder."""

from __future__ import annotations

import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "install-reader.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the script is bash's")


class Pi:
    """A machine in a folder. `systemctl` says what it was asked, and changes what it would."""

    def __init__(self, root: Path, *, systemd: bool) -> None:
        self.root = root
        self.systemd = systemd
        self.someone_at_the_screen = False
        self.refuses = ""
        self.wanted = root / "getty.target.wants" / "getty@tty1.service"
        self.home = root / "opt"
        self.units = root / "system"
        for folder in (self.wanted.parent, self.home, self.units):
            folder.mkdir()
        self.wanted.write_text("")

    def run(self, function: str, *, dry: bool = False, umask: int = 0o022) -> str:
        """One function of the script, with the names that it has for places; what it prints."""
        functions, _, rest = SCRIPT.read_text().partition("\ncheck_machine\nif ")
        assert rest
        functions, steps, rest = functions.partition('. "$(dirname "${BASH_SOURCE[0]}")/install-steps.sh"\n')
        assert steps
        functions += SCRIPT.with_name("install-steps.sh").read_text() + rest
        functions = functions.replace("/etc/systemd/system/getty.target.wants", str(self.wanted.parent))
        for place in ("/etc/systemd/system", "/etc/udev/rules.d", "/usr/local/bin"):
            functions = functions.replace(place, str(self.units))
        functions = functions.replace("home=/opt/blind-relay", f"home={shlex.quote(str(self.home))}")
        stand_ins = f"""
            systemd_runs() {{ {str(self.systemd).lower()}; }}
            here={shlex.quote(str(SCRIPT.parents[1]))}
            udevadm() {{ true; }}
            loginctl() {{ {"echo '  1 1000 pi seat0 tty1'" if self.someone_at_the_screen else "true"}; }}
            systemctl() {{
              echo "systemctl $*"
              case $* in
                "disable "*getty*) rm {shlex.quote(str(self.wanted))} ;;
                "{self.refuses or "nothing"} "*) return 1 ;;
                "enable "*getty*) touch {shlex.quote(str(self.wanted))} ;;
              esac
            }}
        """
        assert "/opt/" not in functions
        script = self.root / "part.sh"
        script.write_text(f"{functions}\n{stand_ins}\ndry={'1' if dry else ''}\n{function}\n")
        done = subprocess.run(
            ["bash", script], capture_output=True, text=True, check=True, timeout=30, umask=umask
        )
        assert not done.stderr
        return done.stdout


@pytest.fixture(params=[True, False], ids=["running", "image"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Pi:
    return Pi(tmp_path, systemd=request.param)


def test_no_login_prompt_takes_a_swipe_and_removing_the_reader_brings_it_back(machine: Pi) -> None:
    assert "would run" in machine.run("take_login_off", dry=True)
    assert machine.wanted.exists(), "a dry run changes nothing"
    said = machine.run("take_login_off")
    assert not machine.wanted.exists()
    assert "sudo systemctl enable --now getty@tty1" in said
    assert ("systemctl disable --quiet --now" in said) is machine.systemd
    assert machine.run("take_login_off") == "", "an update has nothing to do"
    machine.run("remove_all")
    assert machine.wanted.is_symlink() or machine.wanted.exists()


def test_a_login_that_somebody_brought_back_stays(machine: Pi) -> None:
    machine.run("take_login_off")
    machine.wanted.write_text("")
    assert "stays" in machine.run("take_login_off")
    assert machine.wanted.exists()


def test_a_login_that_never_was_is_not_brought_back(machine: Pi) -> None:
    machine.wanted.unlink()
    assert machine.run("take_login_off") == ""
    machine.run("remove_all")
    assert not machine.wanted.is_symlink()


def test_nobody_is_thrown_out(tmp_path: Path) -> None:
    machine = Pi(tmp_path, systemd=True)
    machine.someone_at_the_screen = True
    said = machine.run("take_login_off")
    assert "systemctl disable --quiet getty@tty1.service" in said
    assert "--quiet --now" not in said
    assert "restart the machine" in said


def test_a_reader_that_cannot_start_yet_is_installed_all_the_same(tmp_path: Path) -> None:
    machine = Pi(tmp_path, systemd=True)
    machine.refuses = "restart"
    assert "sudo reader-peripheral doctor" in machine.run("install_service")


@pytest.mark.parametrize("issuer", [True, False])
def test_an_issuer_in_the_same_place_keeps_its_programs(machine: Pi, issuer: bool) -> None:
    (machine.home / "venv").mkdir()
    if issuer:
        (machine.units / "blind-relay-issuer.service").write_text("")
    machine.run("take_login_off")
    machine.run("remove_all")
    assert (machine.home / "venv").exists() is issuer
    assert not (machine.home / "tty1-had-a-login").exists()


def test_an_operators_stricter_umask_does_not_shut_the_service_out(tmp_path: Path) -> None:
    machine = Pi(tmp_path, systemd=True)
    clone = tmp_path / "clone"
    (clone / "packaging").mkdir(parents=True)
    (clone / "requirements.lock").write_text("")
    (clone / "packaging" / "reader-peripheral").write_text("")
    venv = 'mkdir -p "$home/venv/bin"; cp "$(type -P true)" "$home/venv/bin/pip"; touch "$home/venv/library"'
    install = f"here={shlex.quote(str(clone))}\npython3() {{ {venv}; }}\numask\ninstall_programs"
    made = [machine.home / "venv", machine.home / "venv" / "library", machine.home / "venv" / "bin" / "pip"]
    assert machine.run(install, umask=0o077).startswith("0022\n")
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o755, 0o644, 0o755]
    made[0].chmod(0o700)  # by an installer that let the umask be
    made[1].chmod(0o600)
    machine.run(install)
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o755, 0o644, 0o755]
