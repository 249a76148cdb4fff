"""`learn`: the device that is used is found and written down, and nothing of the card is kept or shown."""

from __future__ import annotations

import asyncio
import stat
import tomllib
from pathlib import Path

import pytest

from reader_peripheral import learning
from reader_peripheral.adapters import candidates as candidates_file
from reader_peripheral.adapters.candidates import Candidates
from reader_peripheral.adapters.input_events import Listed
from reader_peripheral.cli import main
from reader_peripheral.input_settings import DeviceIdentity
from reader_peripheral.learning import Candidate, LearningError, Listener, Role, settings_of, write_settings
from tests.unit.reader_input_fakes import FakeNode, key, tap, typed
from tests.unit.reader_magtek_reports import report_of

TRACK2 = ";4000002760003184=30121010000000000000?"
READER = DeviceIdentity(0x801, 1, "B1", "usb-1/input0", "Swipe Reader")
PAD = DeviceIdentity(0x1A2C, 2, "", "usb-2/input0", "Numeric\x1b[31m Keypad")
RAW = DeviceIdentity(0x801, 2, "", "usb-3/input0", "HID reader")


class Desk:
    """Two keyboards and a MagTek reader, plugged in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes = {name: FakeNode() for name in ("reader", "pad", "raw")}
        self.problem: OSError | None = None
        there = [Listed(Path("reader"), READER, True), Listed(Path("pad"), PAD, True)]
        there.append(Listed(Path("volume"), PAD, False))
        monkeypatch.setattr(candidates_file, "listed_devices", lambda sys, dev: there)
        monkeypatch.setattr(candidates_file, "listed_hidraws", lambda sys, dev: [(Path("raw"), RAW)])
        monkeypatch.setattr(candidates_file, "_take", self.take)
        monkeypatch.setattr(candidates_file, "HidrawNode", self.take)

    def take(self, path: Path) -> FakeNode:
        if self.problem is not None:
            raise self.problem
        return self.nodes[path.name]

    async def learn(self, role: Role, used: str, sent: bytes, seconds: float = 5) -> Candidate:
        candidates, listener = Candidates(role), Listener(role)
        candidates.attach(listener)
        self.nodes[used].send(sent, 24 * 64)
        try:
            return await learning.listen(listener, seconds)
        finally:
            candidates.detach()
            assert all(
                node.closed for name, node in self.nodes.items() if role is Role.SWIPER or name != "raw"
            )


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(learning, "QUIET_SECONDS", 0.03)
    monkeypatch.setattr(learning, "_LOOK_SECONDS", 0.005)
    return Desk(monkeypatch)


async def test_the_keyboard_that_types_a_card_is_the_swiper(desk: Desk) -> None:
    found = await desk.learn(Role.SWIPER, "reader", typed(f"{TRACK2}\r"))
    assert (found.identity, found.kind) == (READER, "keyboard")


async def test_a_report_is_a_card_at_once(desk: Desk) -> None:
    found = await desk.learn(Role.SWIPER, "raw", report_of(TRACK2))
    assert (found.identity, found.kind) == (RAW, "magtek-hid")


async def test_any_key_makes_a_keypad_and_few_keys_make_no_swiper(desk: Desk) -> None:
    found = await desk.learn(Role.KEYPAD, "pad", tap(79))
    assert found.identity == PAD


async def test_a_few_keys_are_no_card(desk: Desk) -> None:
    with pytest.raises(LearningError, match="No card was read"):
        await desk.learn(Role.SWIPER, "pad", tap(79) * 3, seconds=0.1)


async def test_keyboards_stay_taken_until_the_swipe_is_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "QUIET_SECONDS", 0.1)
    whole = typed(f"{TRACK2}\r")
    half = len(whole) * 3 // 4 // 24 * 24
    learned = asyncio.create_task(desk.learn(Role.SWIPER, "reader", whole[:half]))
    await asyncio.sleep(0.05)
    assert not learned.done()
    assert not desk.nodes["reader"].closed
    desk.nodes["reader"].send(whole[half:], 24 * 64)
    assert (await learned).identity == READER


async def test_control_c_still_stops(desk: Desk) -> None:
    with pytest.raises(LearningError, match="Stopped"):
        await desk.learn(Role.KEYPAD, "pad", key(29, 1) + tap(46) + key(29, 0))


@pytest.mark.parametrize(
    ("number", "remedy"), [(13, "learn swiper"), (16, "Stop the reader first"), (19, "plug the swiper in")]
)
async def test_keyboards_that_cannot_be_had_are_said(desk: Desk, number: int, remedy: str) -> None:
    desk.problem = OSError(number, "why")
    with pytest.raises(LearningError, match=remedy):
        Candidates(Role.SWIPER).attach(Listener(Role.SWIPER))


async def test_one_busy_keyboard_is_said_though_others_are_free(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(path: Path) -> FakeNode:
        if path.name == "reader":
            raise OSError(16, "busy")
        return desk.nodes[path.name]

    monkeypatch.setattr(candidates_file, "_take", take)
    candidates = Candidates(Role.SWIPER)
    with pytest.raises(LearningError, match="Stop the reader first"):
        candidates.attach(Listener(Role.SWIPER))
    candidates.detach()
    assert desk.nodes["pad"].closed


def test_where_it_is_plugged_in_counts_only_between_twins() -> None:
    twin = DeviceIdentity(0x1A2C, 2, "", "usb-9/input0", "another")
    ours, other, reader = (Candidate(identity, "keyboard") for identity in (PAD, twin, READER))
    assert settings_of(ours, [ours, reader])["port"] is None
    assert settings_of(ours, [ours, reader])["uniq"] is None
    assert settings_of(ours, [reader, ours, other])["port"] == "usb-2/input0"
    assert settings_of(reader, [ours, reader])["uniq"] == "B1"


def test_the_file_keeps_its_mode_and_a_new_one_can_be_read_by_the_service(tmp_path: Path) -> None:
    path = tmp_path / "new" / "reader.toml"
    write_settings(path, Role.KEYPAD, {"kind": "keyboard", "vendor": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    write_settings(path, Role.SWIPER, {"kind": "keyboard", "vendor": 2})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert tomllib.loads(path.read_text()) == {
        "keypad": {"kind": "keyboard", "vendor": 1},
        "swiper": {"kind": "keyboard", "vendor": 2},
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["reader.toml"]


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LearningError, match="--settings FILE"):
        write_settings(tmp_path / "file" / "reader.toml", Role.SWIPER, {"vendor": 1})


def test_the_command_writes_it_down_and_shows_nothing_of_the_card(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reader_peripheral.commands.learn.harden_process", lambda: None)
    desk.nodes["reader"].send(typed(f"{TRACK2}\r"), 24 * 64)
    path = tmp_path / "reader.toml"
    assert main(["learn", "swiper", "--settings", str(path), "--seconds", "5"]) == 0
    desk.nodes["pad"] = FakeNode()
    desk.nodes["reader"] = FakeNode()
    desk.nodes["pad"].send(tap(79), 24 * 64)
    assert main(["learn", "keypad", "--settings", str(path), "--seconds", "5"]) == 0
    shown = capsys.readouterr().out
    assert "Swipe a card now" in shown
    assert (
        "The swiper is Swipe Reader (vendor 0801, product 0001, uniq B1), plugged in at usb-1/input0" in shown
    )
    assert "\x1b" not in shown
    assert "3184" not in shown
    assert tomllib.loads(path.read_text()) == {
        "swiper": {"kind": "keyboard", "vendor": 0x801, "product": 1, "uniq": "B1"},
        "keypad": {"kind": "keyboard", "vendor": 0x1A2C, "product": 2},
    }
    assert main(["learn", "printer", "--settings", str(path)]) == 1
    assert "swiper, keypad" in capsys.readouterr().err
