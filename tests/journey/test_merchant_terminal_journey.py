"""The command merchant-terminal against a real issuer, with nobody's phone connected."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from issuer_server import administration
from issuer_server import service as issuer_service
from issuer_server.key_custody.file_keys import create_keys
from issuer_server.payment import Deadlines
from issuer_server.settings import Settings
from merchant_terminal.cli import main
from merchant_terminal.failures import Exit
from merchant_terminal.sentences import PROBLEM_SENTENCES
from protocol.identifiers import IssuerId

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
PHONE = "+81 90 1234 5678"
CHARGE = ("charge", "--phone", PHONE, "--amount", "1200", "--currency", "JPY", "--order", "コーヒー 2杯")


@pytest.fixture
async def issuer(
    tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[issuer_service.RunningIssuer]:
    create_keys(tmp_path / "keys", secrets.token_bytes)
    settings = Settings(
        IssuerId("issuer.test"),
        tmp_path / "issuer.db",
        tmp_path / "keys",
        port=0,
        deadlines=Deadlines(call=getattr(request, "param", 1.0)),
        stop_grace=0.0,
    )
    async with issuer_service.start(settings) as running:
        await administration.add_cardholder(
            running.storage, "Hanako", PHONE, secrets.token_bytes, time.time()
        )
        yield running


@pytest.fixture
async def shop(issuer: issuer_service.RunningIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop that is logged in; its configuration file."""
    account = await administration.add_merchant(issuer.storage, "Cafe", secrets.token_bytes, time.time())
    config = tmp_path / "shop.toml"
    monkeypatch.setattr(sys, "stdin", io.StringIO(account.api_key + "\n"))
    assert await run(config, "login", "--issuer", issuer.url) == Exit.COMPLETED
    return config


async def run(config: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["--config", str(config), *arguments])


async def test_a_phone_that_is_off_is_told_with_a_receipt(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(shop, *CHARGE) == Exit.NOT_SETTLED
    out, err = capsys.readouterr()
    assert "NOT PAID" in out
    assert "phone could not be reached" in " ".join(out.split())
    assert "コーヒー 2杯" in out
    assert "the issuer has the request" in err


async def test_a_currency_in_small_letters_is_shown_as_its_code_and_a_list_says_why_it_is_not_paid(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(shop, *CHARGE, "--currency", "jpy") == Exit.NOT_SETTLED
    assert "JPY 1,200" in capsys.readouterr().out
    assert await run(shop, "list") == Exit.COMPLETED
    out = capsys.readouterr().out
    assert "JPY 1,200  not paid" in out
    assert "The customer's phone could not be reached.\n" in out


@pytest.mark.parametrize("issuer", [60.0], indirect=True)
async def test_cancel_from_another_window(
    issuer: issuer_service.RunningIssuer,
    shop: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capsys.readouterr()
    stored, create = asyncio.Event(), issuer.application.create_payment

    async def noting(*arguments: Any) -> Any:
        created = await create(*arguments)
        stored.set()
        return created

    monkeypatch.setattr(issuer.application, "create_payment", noting)
    charging = asyncio.create_task(run(shop, *CHARGE, "--json"))
    async with asyncio.timeout(15):
        await stored.wait()
    assert await run(shop, "list", "--json") == Exit.COMPLETED
    [listed] = json.loads(capsys.readouterr().out.splitlines()[-1])["payments"]
    payment_id = listed["id"]
    assert await run(shop, "cancel", payment_id) == Exit.COMPLETED
    assert await charging == Exit.NOT_SETTLED
    # Both windows print into one here.
    out = capsys.readouterr().out
    assert "You cancelled" in out
    [charged] = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert charged["payment"]["reason"] == "cancelled_by_merchant"
    assert await run(shop, "cancel", payment_id) == Exit.COMPLETED, "cancelling again is no error"


async def test_what_the_issuer_refuses(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(shop, *CHARGE, "--phone", "+442071838750") == Exit.BAD_INPUT
    assert "No customer of this issuer" in capsys.readouterr().err
    assert await run(shop, "status", "pay_" + "a" * 26) == Exit.BAD_INPUT
    assert "knows no such payment" in capsys.readouterr().err
    assert await run(shop, "status", "pay_nonsense") == Exit.BAD_INPUT


async def test_pages_of_a_list(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for order in ("first", "second", "third"):
        await run(shop, *CHARGE, "--order", order)
    capsys.readouterr()
    assert await run(shop, "list", "--limit", "2", "--json") == Exit.COMPLETED
    page = json.loads(capsys.readouterr().out)
    assert [payment["order"] for payment in page["payments"]] == ["third", "second"]
    assert await run(shop, "list", "--json", "--cursor", page["next_cursor"]) == Exit.COMPLETED
    assert [payment["order"] for payment in json.loads(capsys.readouterr().out)["payments"]] == ["first"]


def test_every_refusal_of_the_merchant_api_has_its_sentence() -> None:
    codes = set()
    for name in (
        "merchant_api",
        "merchant_requests",
        "refund_api",
        "payment_fields",
        "authorization",
        "problems",
    ):
        for node in ast.walk(ast.parse((ROOT / "issuer_server" / f"{name}.py").read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "Problem",
                "InputError",
                "unauthorized",
            ):
                constants = [each.value for each in node.args if isinstance(each, ast.Constant)]
                if any(isinstance(value, int) and value >= 500 for value in constants):
                    continue  # tried again, then told as an issuer that cannot be reached
                codes |= {value for value in constants if isinstance(value, str) and CODE.fullmatch(value)}
    assert codes
    assert codes <= set(PROBLEM_SENTENCES)
