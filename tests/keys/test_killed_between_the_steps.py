"""kill -9 between the steps of a rotation or a retirement, beside a server that takes payments."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journey.town import Town, town
from tests.keys.key_town import PURPOSES, finish, key_lines, operate, up_to_the_pin

HERE = Path(__file__).resolve()


def killed_at(point: str, folder: Path, *words: str) -> None:
    """A command that dies there: it must, or the test would prove nothing."""
    done = subprocess.run(
        [sys.executable, str(HERE.with_name("killed_command.py")), point, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(HERE.parents[2]), "HOME": str(folder / "home")},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def active(here: Town) -> dict[str, int]:
    lines = key_lines(here).values()
    return {each["purpose"]: each["version"] for each in lines if each["state"] == "active"}


def test_at_every_step_and_asked_for_again(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        operate(
            here,
            *("merchant", "webhook", "add", "--merchant", here._plan.merchant_id),
            *("--url", "https://shop.example/hooks"),
        )
        charge = up_to_the_pin(here)
        for purpose in PURPOSES:
            for point in ("half_a_key", "key_made"):
                killed_at(point, tmp_path, "keys", "rotate", purpose)
                assert active(here)[purpose] == 1
            killed_at("activated", tmp_path, "keys", "rotate", purpose)
            assert active(here)[purpose] == 2, "what a killed command left was taken over"
        for version, point in ((3, "secrets_not_sealed_anew"), (4, "secrets_read")):
            killed_at(point, tmp_path, "keys", "rotate", "webhook-seal")
            assert active(here)["webhook-seal"] == version
        assert finish(here, charge).outcome == "completed"
        assert here.pay().outcome == "completed"
        for version in (1, 2, 3):
            operate(here, "keys", "retire", "webhook-seal", str(version))
        killed_at("retired", tmp_path, "keys", "retire", "pan-index", "1", "--abandon")
        assert "retire` again" in key_lines(here)["pan-index", 1]["kept_in"]
        operate(here, "keys", "retire", "pan-index", "1")
        assert key_lines(here)["pan-index", 1]["kept_in"] == "destroyed"
        here.issuer.kill()
        here.start_issuer()
        here.phone.expect("onnected")
        assert here.pay().outcome == "completed"


@pytest.mark.parametrize("seed", [1, 2])
def test_at_random_moments(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with town(tmp_path) as here:
        for _ in range(15):
            command = here._programs.start(
                "killed", "issuer-server", "keys", "rotate", chance.choice(PURPOSES)
            )
            try:
                command._process.wait(chance.uniform(0.2, 2.5))
            except subprocess.TimeoutExpired:
                command.kill()
        for purpose in PURPOSES:
            assert list(active(here)).count(purpose) == 1
            operate(here, "keys", "rotate", purpose)
        assert here.pay().outcome == "completed"
        assert here.pay().outcome == "completed"
