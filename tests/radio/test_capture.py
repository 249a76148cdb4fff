"""A capture is a btsnoop file that Wireshark opens, and its PDUs can be counted."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protocol import gatt
from virtual_radio.ether import Ether
from virtual_radio.pdu_count import CaptureError, Direction, att_pdus, count, main

if TYPE_CHECKING:
    from conftest import Connect, StartReader


@pytest.fixture
async def capture(tmp_path: Path, connect: Connect, start_reader: StartReader) -> Path:
    """One write of 300 bytes and three notifications of 100, seen from the reader."""
    path = tmp_path / "air.btsnoop"
    async with Ether(capture=path) as ether:
        reader = await start_reader(await ether.add_device("reader"))
        handset = await connect(await ether.add_device("phone"))
        await handset.subscribe()
        await handset.client.write_gatt_char(gatt.KEY_UUID, bytes(range(256)) + bytes(44), response=True)
        for number in range(3):
            reader.notify(bytes([number]) * 100)
            await handset.notified.get()
        await handset.client.disconnect()
    return path


def test_every_pdu_is_there_with_its_bytes(capture: Path) -> None:
    pdus = list(att_pdus(capture.read_bytes()))
    written = [pdu for pdu in pdus if pdu.name == "WRITE_REQ" and len(pdu.value) > 20]
    assert [pdu.value[3:] for pdu in written] == [bytes(range(256)) + bytes(44)]
    assert {pdu.direction for pdu in written} == {Direction.RECEIVED}
    notified = [pdu for pdu in pdus if pdu.name == "HANDLE_VALUE_NTF"]
    assert [pdu.value[3:] for pdu in notified] == [bytes([number]) * 100 for number in range(3)]
    assert {pdu.direction for pdu in notified} == {Direction.SENT}
    assert [pdu.time for pdu in pdus] == sorted(pdu.time for pdu in pdus)


def test_the_count_adds_up(capture: Path) -> None:
    totals = count(capture.read_bytes())
    assert totals[Direction.SENT, "HANDLE_VALUE_NTF"].pdus == 3
    assert totals[Direction.SENT, "HANDLE_VALUE_NTF"].att_bytes == 3 * 103
    assert totals[Direction.SENT, "HANDLE_VALUE_NTF"].packets == 3
    assert totals[Direction.RECEIVED, "EXCHANGE_MTU_REQ"].pdus == 1
    # Subscribing is a write, too: 2 bytes beside the 300, which take two packets of 251 with their header.
    assert totals[Direction.RECEIVED, "WRITE_REQ"].att_bytes == 303 + 5
    assert totals[Direction.RECEIVED, "WRITE_REQ"].packets == 2 + 1
    assert totals[Direction.SENT, "WRITE_RSP"].pdus == 2


def test_the_command_prints_a_table(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(capture)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert any("HANDLE_VALUE_NTF" in line and line.split()[2] == "3" for line in shown)
    assert shown[-1].startswith("   total")


def test_air_time_of_a_full_packet() -> None:
    """251 bytes on the 1M PHY: 2088 µs, an empty answer of 80, two spaces of 150 (Core 5.4, 6.B)."""
    value = b"\x1b" + bytes(246)
    record = struct.pack("<BHHHH", 2, 0x2001, 251, 247, 4) + value
    header = b"btsnoop\0" + struct.pack(">II", 1, 1002)
    capture = header + struct.pack(">IIIIQ", len(record), len(record), 0, 0, 0) + record
    (total,) = count(capture).values()
    assert total.air_us == 2088 + 80 + 300
    assert count(capture, packet_payload=27)[Direction.SENT, "HANDLE_VALUE_NTF"].packets == 10


def test_a_capture_cut_in_the_middle_of_a_record_counts_up_to_there(capture: Path) -> None:
    whole = capture.read_bytes()
    assert list(att_pdus(whole[:-5])) == list(att_pdus(whole))[: len(list(att_pdus(whole[:-5])))]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"btsnoop",
        b"nosnoop\0" + bytes(8),
        b"btsnoop\0" + struct.pack(">II", 1, 1001),
        b"btsnoop\0" + struct.pack(">II", 1, 1002) + struct.pack(">IIIIQ", 1 << 30, 1 << 30, 0, 0, 0),
    ],
)
def test_other_files_are_refused(wrong: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CaptureError):
        list(att_pdus(wrong))
    path = tmp_path / "wrong"
    path.write_bytes(wrong)
    assert main([str(path)]) == 1
    assert "btsnoop" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same_pdus(capture: Path) -> None:
    fields = ["-T", "fields", "-e", "btatt.opcode", "-Y", "btatt"]
    shown = subprocess.run(["tshark", "-r", capture, *fields], capture_output=True, text=True, check=True)
    opcodes = [int(line.split(",")[0], 16) for line in shown.stdout.split()]
    assert opcodes == [pdu.value[0] for pdu in att_pdus(capture.read_bytes())]


def h4_record(direction: Direction, channel: int, payload: bytes) -> bytes:
    """One record of a capture: an L2CAP frame in one ACL packet of connection 0x2A."""
    frame = struct.pack("<HH", len(payload), channel) + payload
    packet = b"\x02" + struct.pack("<HH", 0x2A, len(frame)) + frame
    flags = 1 if direction is Direction.RECEIVED else 0
    return struct.pack(">IIIIQ", len(packet), len(packet), flags, 0, 0) + packet


@pytest.mark.parametrize("enhanced", [False, True], ids=["credit based", "enhanced credit based"])
def test_att_on_channels_of_its_own_is_counted_too(enhanced: bool) -> None:
    """BlueZ moves ATT to credit based channels once it is connected; each side gives its own number."""
    sent, received = Direction.SENT, Direction.RECEIVED
    if enhanced:
        request = struct.pack("<BBH5H", 0x17, 9, 10, 0x27, 517, 64, 3, 0x40)
        response = struct.pack("<BBH5H", 0x18, 9, 10, 517, 64, 3, 0, 0x51)
        other = struct.pack("<BBH5H", 0x17, 10, 10, 0x25, 517, 64, 3, 0x60)
    else:
        request = struct.pack("<BBH5H", 0x14, 9, 10, 0x27, 0x40, 517, 64, 3)
        response = struct.pack("<BBH5H", 0x15, 9, 10, 0x51, 517, 64, 3, 0)
        other = struct.pack("<BBH5H", 0x14, 10, 10, 0x25, 0x60, 517, 64, 3)
    notification = b"\x1b\x1b\x00" + bytes(97)
    frames = [
        h4_record(sent, 5, request),
        h4_record(received, 5, response),
        h4_record(sent, 5, other),  # no channel of ATT's
        h4_record(sent, 0x51, struct.pack("<H", 3) + b"\x0a\x17\x00"),
        h4_record(received, 0x60, struct.pack("<H", 3) + b"\x0a\x17\x00"),
        h4_record(received, 5, struct.pack("<BBHHH", 0x16, 11, 4, 0x40, 1)),
        h4_record(received, 0x40, struct.pack("<H", 100) + notification[:62]),
        h4_record(received, 0x40, notification[62:]),
        h4_record(received, 5, b"\x16"),
    ]
    capture = struct.pack(">8sII", b"btsnoop\0", 1, 1002) + b"".join(frames)
    pdus = list(att_pdus(capture))
    assert [(pdu.direction, pdu.name) for pdu in pdus] == [(sent, "READ_REQ"), (received, "HANDLE_VALUE_NTF")]
    assert pdus[1].value == notification
