"""docs/merchant-api.md, as a merchant's developer follows it: its Python charges at a real issuer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from issuer_server.api_description.openapi import OPENAPI
from tests.unit.eventually import eventually
from tests.unit.issuer_bench import API_KEY, PHONE
from tests.unit.issuer_house import house

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "merchant-api.md").read_text("utf-8")


async def test_the_python_of_the_guide_charges(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("+819012345678", PHONE), names)  # noqa: S102 - the guide's own code
    async with house(tmp_path) as home:
        charging = asyncio.create_task(names["charge"](home.url, API_KEY))
        await eventually(lambda: home.issuer.application.in_flight == 1)
        home.timers.advance(60)
        payment = await charging
    assert (payment.status, payment.reason) == ("not_settled", "handset_unreachable")
    assert (payment.amount.minor, payment.order) == (1250, "2 coffees")


def test_the_table_of_the_guide_has_every_request_of_a_merchant() -> None:
    shown = {
        (method, re.sub(r"\?.*", "", path))
        for method, path in re.findall(r"\| `(GET|POST) (/v1/\S+?)`", GUIDE)
    }
    described = {
        (method.upper(), path)
        for path, item in OPENAPI["paths"].items()
        for method, operation in item.items()
        if "security" not in operation
    }
    assert shown == described
