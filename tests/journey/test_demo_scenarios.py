"""Every scenario of the demonstration, run as a user runs it, ends as it should and tells no secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.cast import CARDS, WRONG_PIN
from demo.radio_count import att_pdus
from demo.scenarios import SCENARIOS, Phone, Scenario

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 90.0
SECRETS = [secret for card in CARDS.values() for secret in (card.pan, card.pin)] + [WRONG_PIN]


@dataclass(frozen=True, slots=True)
class Run:
    """What `python -m demo` did."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON objects, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The objects of one event."""
        return [line for line in self.lines if line["event"] == event]


def demo(folder: Path, *arguments: str, typed: str | None = None, encoding: str = "utf-8") -> Run:
    """Run it in an empty home folder."""
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "PYTHONIOENCODING": encoding,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=folder,
        env=environment,
        input=typed or "",
        capture_output=True,
        text=True,
        encoding=encoding,
        timeout=PATIENCE,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def shows(text: str, secret: str) -> bool:
    """Whether these digits stand in the text as a number of their own, and not behind a decimal point."""
    return re.search(rf"(?<![0-9])(?<![0-9]\.){secret}(?![0-9])", text) is not None


def check_paid(run: Run) -> None:
    """Told in the patent's order, with what phone and issuer saw of both envelopes."""
    steps = " ".join(line.get("patent", "") for line in run.lines).split()
    wanted = ["S1", "S2", "S3", "S4", "S31", "S33", "S6", "S34", "S35", "S36", "S37", "S10-S15", "S16", "S39"]
    wanted += ["S40", "S41", "S42", "S18-S21", "S23", "S26"]
    at = [steps.index(step) for step in wanted]
    assert at == sorted(at)
    card, pin = run.of("opened")
    assert (card["kind"], pin["kind"]) == ("card_envelope", "pin_envelope")
    assert "****3184" in card["issuer_saw"][0]
    assert "right" in pin["issuer_saw"][0]
    assert "sealed again: the same bytes" in pin["issuer_saw"]
    sealed = {line["kind"]: line["bytes"] for line in run.of("message") if "bytes" in line}
    assert sealed["card_envelope"] > 1264
    assert sealed["pin_envelope"] > 1152


def check_tampering(run: Run) -> None:
    """Every attack met its refusal, and the reader's display was not fooled."""
    last = run.lines[-1]
    assert last["attacks"] == last["refusals"] == 15
    assert {line["route"][-1] for line in run.of("attack")} == {"reader", "issuer", "phone"}
    headlines = [line["lines"][0] for line in run.of("screen") if "lines" in line]
    assert "APPROVED" not in headlines
    assert headlines[-1].startswith("NOT ")


def check_replaying(run: Run) -> None:
    """The first payment went through, the second got nothing out of its recording."""
    results = [line["outcome"] for line in run.of("message") if "outcome" in line]
    assert results == ["completed", "not_settled"]
    assert run.lines[-1]["attacks"] == run.lines[-1]["refusals"] == 3


def check_reader_lost(run: Run) -> None:
    """The link broke, came back, and the person swiped once."""
    assert {line.get("notice") for line in run.of("link")} >= {"reader_connection_lost", "reader_resumed"}
    assert [line["text"] for line in run.of("person")].count("swipes her card") == 1


MORE_TO_CHECK: dict[str, Callable[[Run], None]] = {
    "paid": check_paid,
    "tampering-phone": check_tampering,
    "replaying-phone": check_replaying,
    "reader-lost-and-back": check_reader_lost,
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_scenario_ends_as_it_should(scenario: Scenario, tmp_path: Path) -> None:
    run = demo(tmp_path, "--scenario", scenario.name, "--json", "--pace", "0")
    assert run.err == ""
    last = run.lines[-1]
    assert last["event"] == "finished"
    assert last["outcome"] == scenario.outcome
    assert last["reason"] == (scenario.reason.value if scenario.reason else None)
    assert last["as_expected"] is True
    assert run.status == 0
    for secret in SECRETS:
        assert not shows(run.out, secret), "a card number or PIN in the telling"
    [learned] = run.of("learned")
    assert learned["leaked_to_phone"] is False
    assert learned["kept_by_issuer"] is False
    [radio] = run.of("radio")
    assert radio["card_number_found"] is False
    [ledger] = run.of("ledger")
    assert ledger["changed"] is (scenario.outcome == "completed" or scenario.phone is Phone.REPLAYING)
    assert list(tmp_path.iterdir()) == [], "the temporary folder is gone, and nothing else was written"
    if scenario.name in MORE_TO_CHECK:
        MORE_TO_CHECK[scenario.name](run)


def test_the_capture_is_kept_and_holds_what_was_counted(tmp_path: Path) -> None:
    capture = tmp_path / "air.btsnoop"
    run = demo(tmp_path, "--json", "--pace", "0", "--btsnoop", str(capture))
    content = capture.read_bytes()
    assert content.startswith(b"btsnoop\0")
    pdus = list(att_pdus(content))
    [radio] = run.of("radio")
    assert 30 < radio["pdus"] <= len(pdus), "hanging up comes after the counting"
    assert CARDS[next(iter(CARDS))].pan.encode() not in content


def test_a_payment_completes_on_a_slow_and_lossy_radio(tmp_path: Path) -> None:
    run = demo(tmp_path, "--json", "--pace", "0", "--radio-interval", "30", "--radio-loss", "0.2")
    assert run.err == ""
    assert run.status == 0
    assert run.lines[-1]["outcome"] == "completed"
    assert "30 ms interval, 20% lost" in run.out


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_telling_fits_eighty_columns_and_needs_no_colour(tmp_path: Path, encoding: str) -> None:
    run = demo(tmp_path, "--scenario", "tampering-phone", "--pace", "0", encoding=encoding)
    assert run.status == 0
    assert "\x1b" not in run.out
    assert all(len(line) <= 80 for line in run.out.splitlines())
    assert "ATTACK: " in run.out
    assert "refused: " in run.out
    assert "15 attacks, 15 refused" in run.out
    for secret in SECRETS:
        assert not shows(run.out, secret)


def test_pay_interactively(tmp_path: Path) -> None:
    own = next(iter(CARDS.values()))
    run = demo(
        tmp_path, "--interactive", "--pace", "0", typed=f"what?\ny\n7\n1\n{own.pin[:2]}\n{own.pin[2:]}\n"
    )
    assert "Please type y or n" in run.out
    assert "A PIN has at least 4 digits" in run.out
    assert "PAID. Thank you." in run.out
    assert run.status == 0


def test_interactively_a_stripe_can_be_typed_and_misread(tmp_path: Path) -> None:
    own = next(iter(CARDS.values()))
    run = demo(tmp_path, "--interactive", "--pace", "0", typed=f"y\n%E?\n{own.stripe}\n{own.pin}\n")
    assert "Swipe again" in run.out
    assert "PAID. Thank you." in run.out


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("n\n", "customer declined"),
        ("y\nc\n", "cancelled on the card reader"),
        ("y\n3\n", "does not know this card"),
        ("y\n1\nc", "cancelled on the card reader"),
        ("", "customer declined"),
    ],
)
def test_interactive_endings(tmp_path: Path, typed: str, says: str) -> None:
    run = demo(tmp_path, "--interactive", "--pace", "0", typed=typed)
    assert says in " ".join(run.out.split())
    assert run.status == 0
    assert run.err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--scenario", "nonsense"), "tampering-phone"),
        (("--speed", "3"), "unrecognized arguments"),
        (("--pace", "-1"), "0 to 10"),
        (("--pace", "fast"), "invalid float"),
        (("--btsnoop", "no/such/folder/file"), "no folder"),
        (("--radio-loss", "1.5"), "below 1"),
        (("--radio-interval", "3"), "7.5 to 4000"),
        (("--interactive", "--json"), "--interactive"),
        (("--interactive", "--scenario", "declined"), "--interactive"),
    ],
)
def test_wrong_usage_is_said_clearly(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    run = demo(tmp_path, *arguments)
    assert run.status == 2
    assert says in run.err
    assert "Traceback" not in run.err
    assert run.out == ""


def test_the_list_names_every_scenario(tmp_path: Path) -> None:
    run = demo(tmp_path, "--list")
    assert run.status == 0
    assert [line.split()[0] for line in run.out.splitlines()] == list(SCENARIOS)
    assert [line["scenario"] for line in demo(tmp_path, "--list", "--json").lines] == list(SCENARIOS)
