"""A day's work with card numbers and PINs that are known here: afterwards they are nowhere to be found.

What the scan cannot see: what is derived by a key (index, verifier, ciphertext) or spread over several
places, kernel buffers and swap, memory that was given back to the system, and what another day would leave.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.crash.town import Town, town
from tests.crash.verdict import check, check_all_told
from tests.journey.process_memory import found_in_memory
from tests.journey.programs import free_port

PEOPLE = 6
PIN, WRONG_PIN, NEW_PIN, NEW_PAN = "481516234207", "271828182845", "602214076912", "5399111122223335"


def shapes(name: str, digits: str) -> dict[str, bytes]:
    """The ways in which programs keep digits."""
    return {
        f"{name} in ASCII": digits.encode(),
        f"{name} in UTF-16": digits.encode("utf-16-le"),
        f"{name} in UCS-4": digits.encode("utf-32-le"),
        f"{name} as packed decimals": bytes.fromhex(digits),
        f"{name} as digit values": bytes(int(digit) for digit in digits),
        f"{name} as a number": int(digits).to_bytes(8, "little"),
        f"{name} in hexadecimal": digits.encode().hex().encode(),
    }


def canaries(here: Town) -> dict[str, bytes]:
    """Everything that was secret that day, by name."""
    found = {
        **shapes("a PIN", PIN),
        **shapes("a wrong PIN", WRONG_PIN),
        **shapes("a PIN by the desk", NEW_PIN),
        **shapes("a card by the desk", NEW_PAN),
        "the name on the stripe": b"^YAMADA/HANAKO^2912101",  # the name alone is in the samples of `seed`
        "the stripe's discretionary data": b"1010000000000000",
    }
    for number, each in enumerate(here.cardholders):
        found.update(shapes(f"card {number}", each.pan))
    return found


def found_in(needles: Mapping[str, bytes], things: Iterable[tuple[str, bytes]]) -> list[str]:
    return [
        f"{name} in {where}"
        for where, content in things
        for name, needle in needles.items()
        if needle in content
    ]


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def desk(here: Town, *words: str, typed: str = "") -> str:
    """`issuer-server WORDS`, a process of its own; all that it printed."""
    command = [sys.executable, "-m", "issuer_server", *words, "--data", str(here.data)]
    done = await asyncio.to_thread(
        subprocess.run, command, input=typed, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, (words, done.stderr)
    return f"{words}{done.stdout}{done.stderr}"


async def some_work(here: Town, more: int) -> None:
    """Until so many more payments were paid, and a PIN was wrong."""
    counts = here.seen.counts
    paid, wrong = counts["ended completed"] + more, counts["ended wrong_pin"] + 1
    async with asyncio.timeout(90):
        while counts["ended completed"] < paid or counts["ended wrong_pin"] < wrong:
            here.check_alive()
            await asyncio.sleep(0.05)


@pytest.mark.timeout(400)
async def test_no_card_number_and_no_pin_is_left_of_a_day(tmp_path: Path) -> None:
    metrics_port = free_port()
    settings = (
        f'[metrics]\nport = {metrics_port}\n[log]\nlevel = "debug"\n[tracing]\nendpoint = "EAR/v1/traces"\n'
    )
    async with town(tmp_path / "data", PEOPLE, seed=6, pin=PIN, more_settings=settings) as here:
        for each in here.cardholders:
            each.wrong_pin = WRONG_PIN
        here.open()
        printed: list[str] = []
        for _ in range(2):
            here.server.start()
            await here.server.ready(here.http)
            await some_work(here, 8)
            await here.server.kill()
            check(here)
        here.server.start()
        await here.server.ready(here.http)
        await some_work(here, 8)
        printed += await administration(here, tmp_path)
        await some_work(here, 8)
        await here.close()
        await check_all_told(here)
        async with here.http.get(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
            metrics = await answer.read()
            assert answer.status == 200
        needles = canaries(here)
        await check_memory(here, needles)
        await here.send_home()
        assert await here.server.stop() == 0
        files = files_under(tmp_path)
        assert b"settled" in files[str(here.server.log)]  # there was something to find
        assert any(name.endswith("backup.db") for name in files)
        assert b"payment" in metrics
        places = [
            *files.items(),
            ("metrics", metrics),
            *(("a webhook", heard) for heard in here.ear.heard),
            *(("a trace", trace) for trace in here.ear.traces),
            *(("a phone's frame", frame.encode()) for frame in here.seen.frames),
            *(("an answer", text.encode()) for text in here.seen.answers),
            *(("a command's output", text.encode()) for text in printed),
        ]
        assert found_in(needles, places) == []
        size = sum(map(len, files.values())) >> 10
        print(f"nothing found in {len(files)} files of {size} KiB, {len(here.ear.traces)} batches of traces,")
        print(f"{len(here.seen.frames)} frames, {len(here.seen.answers)} answers")


async def administration(here: Town, folder: Path) -> list[str]:
    """What an operator does beside the running server."""
    books = here.data / "issuer.db"
    assert books.exists()
    holders = await desk(here, "cardholder", "list", "--json")
    holder = holders[holders.index("chd_") :][:30]
    added = await desk(
        here, "card", "add", "--cardholder", holder, "--expiry", "12/29", typed=f"{NEW_PAN}\n{NEW_PIN}\n"
    )
    card = added[added.index("crd_") :][:30]
    return [
        holders,
        added,
        await desk(here, "card", "reset-pin", card, typed=f"{NEW_PIN[::-1]}\n"),
        await desk(here, "card", "block", card),
        await desk(here, "card", "list"),
        await desk(here, "balance"),
        await desk(here, "statement", "--owner", holder),
        await desk(here, "backup", str(folder / "backup.db")),
    ]


async def check_memory(here: Town, needles: Mapping[str, bytes]) -> None:
    """All that the process can read of itself, after its payments have ended."""
    if not os.access(f"/proc/{here.server.pid}/mem", os.R_OK):
        print("the memory of a process that forbids it is read by root alone: not searched")
        return
    some_payment = next(iter(here.seen.endings)).encode()
    control = {"control": here.shops[0].headers["Authorization"].encode(), "payment": some_payment}
    found = await asyncio.to_thread(found_in_memory, here.server.pid, {**needles, **control})
    assert found & set(control), "what is certainly there was not found either"
    assert sorted(found - set(control)) == []
