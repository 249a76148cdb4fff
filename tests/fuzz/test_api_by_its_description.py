"""schemathesis against a running issuer by its own OpenAPI: no 5xx, nothing undocumented, every check on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from issuer_server.rate_limits import Limits
from tests.unit.issuer_bench import API_KEY
from tests.unit.issuer_house import house

HERE = Path(__file__).resolve().parent
EXAMPLES = 50


@pytest.mark.timeout(900)
async def test_the_server_does_what_its_description_says(tmp_path: Path) -> None:
    async with house(tmp_path, limits=Limits()) as home, home.phone() as phone:
        payment_id = await home.charge()
        await phone.pay(home.reader, payment_id)  # so that there is something to list
        child = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{home.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {API_KEY}", "--max-examples", str(EXAMPLES)),
            # A long poll may take its 60 seconds.
            *("--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "70", "--no-color"),
            "--generation-deterministic",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await child.communicate()
    assert child.returncode == 0, said.decode()[-8000:]
