"""Runs in the guest: a central that is none of ours (Bumble's GATT client on its own radio) at the reader.

    stranger.py RADIO ADDRESS look   connects, reads what can be read, writes garbage, and says what it saw
    stranger.py RADIO ADDRESS hold   connects and stays, saying nothing, until its input ends
    stranger.py RADIO ADDRESS find   only listens for the advertisement

RADIO is one of Bumble's transports. Every line on standard output is `what: JSON`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bumble.att import ATT_Error
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device, Peer
from bumble.gatt_client import CharacteristicProxy
from bumble.hci import Address, OwnAddressType
from bumble.transport import open_transport

from protocol import gatt

CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 8.0
GARBAGE = {
    "nothing": b"",
    "one byte": b"\xff",
    "an unknown type": bytes((0x80 | 0x40 | 63, 0, 0, 0)),
    "a message before any hello": bytes((0x80 | 0x40 | 17, 1, 0, 4)) + b"abcd",
    "a total beyond the limit": bytes((0x80 | 17, 1, 0x1F, 0xFF)) + bytes(16),
    "noise": bytes(range(256)) + bytes(range(254)),
    "more than an attribute holds": bytes(513),
}


def say(what: str, value: Any) -> None:
    print(f"{what}: {json.dumps(value)}", flush=True)


async def outcome(work: Any) -> Any:
    """What came of an ATT request: its value in hex, or the error's number."""
    try:
        value = await asyncio.wait_for(work, ANSWER_SECONDS)
    except ATT_Error as error:
        return {"att_error": int(error.error_code)}
    except TimeoutError:
        return {"no_answer": True}
    except BaseBumbleError as error:
        return {"failed": type(error).__name__}
    return {"ok": bytes(value).hex() if value is not None else None}


async def find(device: Device, address: str) -> None:
    """Say what the reader advertises."""
    heard = asyncio.get_running_loop().create_future()

    def on_advertisement(advertisement: Any) -> None:
        if advertisement.address.to_string(False) != address or heard.done():
            return
        uuids = (
            advertisement.data.get(AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS) or []
        )
        name = advertisement.data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME)
        if name:
            heard.set_result({"name": name, "services": [str(uuid).lower() for uuid in uuids]})

    device.on(Device.EVENT_ADVERTISEMENT, on_advertisement)
    await device.start_scanning(active=True)
    try:
        say("advertisement", await asyncio.wait_for(heard, ANSWER_SECONDS))
    except TimeoutError:
        say("advertisement", None)
    await device.stop_scanning()


async def connect(device: Device, address: str) -> Connection | None:
    """A connection, or None and the reason said."""
    try:
        connection = await device.connect(
            Address(address, Address.PUBLIC_DEVICE_ADDRESS),
            own_address_type=OwnAddressType.PUBLIC,
            timeout=CONNECT_SECONDS,
        )
    except (BaseBumbleError, TimeoutError) as error:
        say("connected", False)
        say("why", type(error).__name__)
        return None
    say("connected", True)
    connection.on(Connection.EVENT_DISCONNECTION, lambda reason: say("disconnected", int(reason)))
    return connection


async def look(connection: Connection) -> None:
    """Read and write everything that a curious program can."""
    peer = Peer(connection)
    say("mtu", await peer.request_mtu(517))
    services = await peer.discover_services()
    ours = next((one for one in services if str(one.uuid).lower() == gatt.SERVICE_UUID), None)
    say("service", ours is not None)
    if ours is None:
        return
    found: dict[str, CharacteristicProxy[Any]] = {}
    for characteristic in await peer.discover_characteristics(service=ours):
        await peer.discover_descriptors(characteristic)
        found[str(characteristic.uuid).lower()] = characteristic
    say("properties", {uuid: int(one.properties) for uuid, one in found.items()})
    say("reader info", await outcome(peer.read_value(found[gatt.READER_INFO_UUID])))
    say("status", await outcome(peer.read_value(found[gatt.STATUS_UUID])))
    say("read key", await outcome(peer.read_value(found[gatt.KEY_UUID])))
    notified: asyncio.Queue[bytes] = asyncio.Queue()
    await peer.subscribe(found[gatt.CIPHERTEXT_UUID], notified.put_nowait)
    for uuid in (gatt.READER_INFO_UUID, gatt.CIPHERTEXT_UUID, gatt.STATUS_UUID):
        name = next(key for key, value in vars(gatt).items() if value == uuid)
        say(f"write {name}", await outcome(peer.write_value(found[uuid], b"x", with_response=True)))
    for name, value in GARBAGE.items():
        say(
            f"garbage, {name}",
            await outcome(peer.write_value(found[gatt.KEY_UUID], value, with_response=True)),
        )
    say("status afterwards", await outcome(peer.read_value(found[gatt.STATUS_UUID])))
    answers = []
    while not notified.empty():
        answers.append(notified.get_nowait().hex())
    say("answers", answers)


async def main(radio: str, address: str, task: str) -> None:
    transport = await open_transport(radio)
    device = Device.with_hci("stranger", Address("F0:F1:F2:F3:F4:F5"), transport.source, transport.sink)
    try:
        await device.power_on()
        if task == "find":
            await find(device, address)
            return
        connection = await connect(device, address)
        if connection is None:
            return
        if task == "look":
            await look(connection)
        else:
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await asyncio.wait_for(connection.disconnect(), ANSWER_SECONDS)
    finally:
        await transport.close()
        say("done", True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
