"""Runs in the guest: a central that is none of ours (Bumble's GATT client on its own radio) at the reader.

    stranger.py RADIO ADDRESS look    listens, connects, reads what can be read, writes garbage
    stranger.py RADIO ADDRESS barge   connects; at a line on standard input, writes while another is served
    stranger.py RADIO ADDRESS knock   tries to connect only

RADIO is one of Bumble's transports. Every line on standard output is `what: JSON`; the last is `done`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

from bumble.att import ATT_Error
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device, Peer
from bumble.gatt import GATT_DEVICE_NAME_CHARACTERISTIC
from bumble.gatt_client import CharacteristicProxy
from bumble.hci import Address, OwnAddressType
from bumble.transport import open_transport

from protocol import gatt

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 15.0
TOO_LONG = bytes(513)
"""One byte more than an attribute holds (Core 5.4, 3.F.3.2.9)."""
NOISE = bytes(range(256)) + bytes(range(244))

Characteristics = dict[str, CharacteristicProxy[Any]]


def say(what: str, value: Any) -> None:
    print(f"{what}: {json.dumps(value)}", flush=True)


async def outcome(work: Awaitable[Any]) -> Any:
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


async def listen(device: Device, address: str) -> None:
    """Say which services the reader advertises."""
    heard: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def on_advertisement(advertisement: Any) -> None:
        # Its name is in the scan response, which Bumble's virtual controller makes of the advert instead.
        uuids = advertisement.data.get(AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS)
        if advertisement.address.to_string(False) == address and uuids and not heard.done():
            heard.set_result([str(uuid).lower() for uuid in uuids])

    device.on(Device.EVENT_ADVERTISEMENT, on_advertisement)
    await device.start_scanning(active=True)
    try:
        say("advertised", await asyncio.wait_for(heard, ANSWER_SECONDS))
    except TimeoutError:
        say("advertised", None)
    await device.stop_scanning()


async def connect(device: Device, address: str) -> Connection | None:
    """A connection, or None; said either way."""
    try:
        connection = await device.connect(
            Address(address, Address.PUBLIC_DEVICE_ADDRESS),
            own_address_type=OwnAddressType.PUBLIC,
            timeout=CONNECT_SECONDS,
        )
    except (BaseBumbleError, TimeoutError):
        say("connected", False)
        return None
    say("connected", True)
    return connection


async def discover(peer: Peer) -> Characteristics:
    """The reader's characteristics by UUID."""
    await peer.request_mtu(517)
    (service,) = await peer.discover_service(gatt.SERVICE_UUID)
    found: Characteristics = {}
    for characteristic in await peer.discover_characteristics(service=service):
        await peer.discover_descriptors(characteristic)
        found[str(characteristic.uuid).lower()] = characteristic
    return found


async def look(connection: Connection, gone: asyncio.Event) -> None:
    """Read and write everything that a curious program can."""
    peer = Peer(connection)
    found = await discover(peer)
    names = await peer.read_characteristics_by_uuid(GATT_DEVICE_NAME_CHARACTERISTIC)
    say("name", bytes(names[0]).decode())
    say("properties", {uuid: int(one.properties) for uuid, one in found.items()})
    key = found[gatt.KEY_UUID]
    for name, uuid in (("reader info", gatt.READER_INFO_UUID), ("status", gatt.STATUS_UUID)):
        say(f"read {name}", await outcome(peer.read_value(found[uuid])))
    say("read key", await outcome(peer.read_value(key)))
    said: list[str] = []
    await peer.subscribe(found[gatt.CIPHERTEXT_UUID], lambda value: said.append(bytes(value).hex()))
    for name, uuid in (("reader info", gatt.READER_INFO_UUID), ("ciphertext", gatt.CIPHERTEXT_UUID)):
        say(f"write {name}", await outcome(peer.write_value(found[uuid], b"x", with_response=True)))
    say("write too much", await outcome(peer.write_value(key, TOO_LONG, with_response=True)))
    say("write noise", await outcome(peer.write_value(key, NOISE, with_response=True)))
    await hung_up(gone)
    say("said", said)


async def barge(connection: Connection, gone: asyncio.Event) -> None:
    """Write while somebody else is served."""
    key = (await discover(Peer(connection)))[gatt.KEY_UUID]
    say("ready", True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    say("write", await outcome(Peer(connection).write_value(key, NOISE[:20], with_response=True)))
    await hung_up(gone)


async def hung_up(gone: asyncio.Event) -> None:
    """Say whether the reader ends the connection."""
    try:
        await asyncio.wait_for(gone.wait(), ANSWER_SECONDS)
    except TimeoutError:
        pass
    say("hung up on", gone.is_set())


async def main(radio: str, address: str, task: str) -> None:
    transport = await open_transport(radio)
    device = Device.with_hci("stranger", Address("F0:F1:F2:F3:F4:F5"), transport.source, transport.sink)
    gone = asyncio.Event()
    try:
        await device.power_on()
        if task == "look":
            await listen(device, address)
        connection = await connect(device, address)
        if connection is None:
            return
        connection.on(Connection.EVENT_DISCONNECTION, lambda _: gone.set())
        if task != "knock":
            await (look if task == "look" else barge)(connection, gone)
        if not gone.is_set():
            await connection.disconnect()
    finally:
        await transport.close()
        say("done", True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
