"""The GATT table: UUIDs, sizes, Reader Info and Status as bytes."""

from __future__ import annotations

from uuid import UUID

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import gatt
from protocol.errors import MessageError
from protocol.gatt import Property, ReaderInfo, Status
from protocol.identifiers import ReaderId

READER = ReaderId(bytes.fromhex("0a1b2c3d4e5f6071"))


def test_uuids_are_distinct_and_well_formed() -> None:
    uuids = [gatt.SERVICE_UUID, *gatt.PROPERTIES]
    assert len(set(uuids)) == 5
    assert all(str(UUID(uuid)) == uuid and UUID(uuid).version == 4 for uuid in uuids)


def test_key_is_written_with_response_only_and_ciphertext_only_notified() -> None:
    assert gatt.PROPERTIES[gatt.KEY_UUID] is Property.WRITE
    assert gatt.PROPERTIES[gatt.CIPHERTEXT_UUID] is Property.NOTIFY


@pytest.mark.parametrize(
    ("mtu", "size"), [(23, 20), (185, 182), (247, 244), (513, 510), (514, 510), (517, 510)]
)
def test_the_largest_value_of_an_mtu(mtu: int, size: int) -> None:
    assert gatt.largest_value(mtu) == size


def test_an_mtu_under_23_is_none() -> None:
    with pytest.raises(ValueError):
        gatt.largest_value(22)


def test_a_name_fits_an_advert_beside_the_service_uuid() -> None:
    name = gatt.device_name(READER)
    assert name == "BR-0a1b"
    flags, service, head = 3, 18, 2
    assert flags + service + head + len(name) <= 31


def test_reader_info_there_and_back() -> None:
    info = ReaderInfo((1,), READER, 7, (1, 2))
    assert info.encode().hex() == "848101480a1b2c3d4e5f607107190102"
    assert ReaderInfo.decode(info.encode()) == info


versions = st.lists(st.integers(1, 23), min_size=1, max_size=3).map(tuple)
byte = st.integers(0, 255)


@given(versions, st.binary(min_size=8, max_size=8), byte, st.tuples(byte, byte))
def test_every_reader_info_fits_one_read(
    known: tuple[int, ...], reader: bytes, model: int, firmware: tuple[int, int]
) -> None:
    info = ReaderInfo(known, ReaderId(reader), model, firmware)
    assert len(info.encode()) < 20
    assert ReaderInfo.decode(info.encode()) == info


@pytest.mark.parametrize(
    "parts",
    [
        [[1], b"8 bytes!", 7],
        [[1], b"8 bytes!", 7, 258, 0],
        {0: [1]},
        [1, b"8 bytes!", 7, 258],
        [[], b"8 bytes!", 7, 258],
        [[0], b"8 bytes!", 7, 258],
        [[24], b"8 bytes!", 7, 258],
        [[True], b"8 bytes!", 7, 258],
        [["1"], b"8 bytes!", 7, 258],
        [[[1]], b"8 bytes!", 7, 258],
        [[1], b"7 bytes", 7, 258],
        [[1], "8 bytes!", 7, 258],
        [[1], b"8 bytes!", 256, 258],
        [[1], b"8 bytes!", -1, 258],
        [[1], b"8 bytes!", 7, -1],
        [[1], b"8 bytes!", 7, 65536],
        [[1], b"8 bytes!", 7, None],
        None,
    ],
)
def test_other_cbor_is_no_reader_info(parts: object) -> None:
    with pytest.raises(MessageError):
        ReaderInfo.decode(cbor2.dumps(parts))


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "848101480a1b2c3d4e5f60710719",
        "848101480a1b2c3d4e5f60710719010200",
        "849f01ff480a1b2c3d4e5f607107190102",  # indefinite length
        "84811801480a1b2c3d4e5f607107190102",  # 1 in two bytes
        "848101480a1b2c3d4e5f60711807190102",  # 7 in two bytes
        "00" * 20,
    ],
)
def test_other_bytes_are_no_reader_info(octets: str) -> None:
    with pytest.raises(MessageError):
        ReaderInfo.decode(bytes.fromhex(octets))


@given(st.binary(max_size=24))
def test_any_bytes_are_reader_info_or_a_message_error(value: bytes) -> None:
    try:
        info = ReaderInfo.decode(value)
    except MessageError:
        return
    assert info.encode() == value


@pytest.mark.parametrize("status", list(Status))
def test_a_status_is_one_byte(status: Status) -> None:
    assert len(status.encode()) == 1
    assert Status.decode(status.encode()) is status


@pytest.mark.parametrize("value", [b"", b"\x00\x00", b"\xff"])
def test_other_bytes_are_no_status(value: bytes) -> None:
    with pytest.raises(MessageError):
        Status.decode(value)
