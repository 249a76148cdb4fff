"""Bluetooth clients that are none of ours: they read what is public, and get clean errors for the rest."""

from __future__ import annotations

import json
from typing import Any

from protocol import gatt
from tests.bluez.bluetooth import READER_ADAPTER, Bluetooth
from tests.bluez.guest import GuestProgram
from tests.bluez.town import BenchTown

READ_NOT_PERMITTED = {"att_error": 0x02}
WRITE_NOT_PERMITTED = {"att_error": 0x03}
INVALID_LENGTH = {"att_error": 0x0D}
BUSY = {"att_error": 0x81}


def told(stranger: GuestProgram) -> dict[str, Any]:
    """What the stranger saw, once it is done."""
    stranger.end_of_input()
    assert stranger.finish() == 0, stranger.output
    lines = (line.partition(": ") for line in stranger.output.splitlines())
    return {what: json.loads(value) for what, _, value in lines}


def test_a_foreign_client_reads_what_is_public_and_gets_clean_errors(
    bluetooth: Bluetooth, town: BenchTown
) -> None:
    said_before = len(town.reader.output)
    saw = told(bluetooth.stranger("look"))
    assert saw["advertised"] == [gatt.SERVICE_UUID]
    assert saw["name"] == bluetooth.adapter(READER_ADAPTER, "Alias")
    assert saw["properties"] == {uuid: int(properties) for uuid, properties in gatt.PROPERTIES.items()}
    info = gatt.ReaderInfo.decode(bytes.fromhex(saw["read reader info"]["ok"]))
    assert gatt.device_name(info.reader_id) == saw["name"]
    assert saw["read status"] == {"ok": gatt.Status.IDLE.encode().hex()}
    assert saw["read key"] == READ_NOT_PERMITTED
    assert saw["write reader info"] == WRITE_NOT_PERMITTED
    assert saw["write ciphertext"] == WRITE_NOT_PERMITTED
    assert saw["write too much"] == INVALID_LENGTH
    # Taken by the radio, refused by the protocol: one ERROR frame, and the reader hangs up.
    assert saw["write noise"] == {"ok": None}
    assert [value[:2] for value in saw["said"]] == ["c6"]
    assert saw["hung up on"]
    assert "Traceback" not in town.reader.output[said_before:]
    assert town.pay("after a visit").outcome == "completed"


def test_a_second_central_is_refused_and_the_payment_goes_on(bluetooth: Bluetooth, town: BenchTown) -> None:
    # The reader bears a silent central for longer while somebody may be pairing.
    bluetooth.make_pairable(READER_ADAPTER, pairable=True)
    first = bluetooth.stranger("barge")
    first.expect("ready")
    charge = town.charge("in company")
    town.approve()
    town.swipe()
    town.reader.expect("Enter PIN")
    first.type("now")
    saw = told(first)
    bluetooth.make_pairable(READER_ADAPTER, pairable=False)
    assert saw["write"] == BUSY
    assert saw["hung up on"]
    # Whoever comes later does not get that far: nothing is advertised while a phone is served.
    assert told(bluetooth.stranger("knock"))["connected"] is False
    town.reader.type(town.card.pin)
    assert town.receipt(charge).outcome == "completed"
