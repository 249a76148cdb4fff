"""The command merchant-terminal against an issuer that loses answers, refuses, restarts and lies."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import web

from merchant_terminal.failures import Exit
from tests.unit import merchant_bench
from tests.unit.merchant_bench import (
    CHARGE,
    KEY,
    PAID,
    FakeIssuer,
    log_in,
    point_nowhere,
    run,
    unanswered,
)
from tests.unit.test_issuer_api_tls import make_certificate

# The fixtures that both modules use.
issuer = merchant_bench.issuer
shop = merchant_bench.shop
ready = merchant_bench.ready


async def test_a_charge_waits_and_prints_a_receipt(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    out, err = capsys.readouterr()
    assert "RECEIPT" in out
    assert "USD 12.50" in out
    assert "asked for the PIN" in err
    assert ready.seen[0] == (
        "POST",
        "/v1/payments",
        {"phone": "+819012345678", "amount": 1250, "currency": "USD", "order": "2 coffees"},
    )
    assert unanswered(shop) == []
    assert KEY not in out + err


async def test_json_is_one_object_and_nothing_else(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.steps = [{"status": "not_settled", "reason": "declined"}]
    capsys.readouterr()
    assert await run(shop, *CHARGE, "--json") == Exit.NOT_SETTLED
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["outcome"] == "not_settled"
    assert document["payment"]["reason"] == "declined"
    assert document["payment"]["amount"] == 1250
    assert err == ""


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 429])
async def test_a_lost_answer_is_asked_for_again_and_charges_once(
    ready: FakeIssuer, shop: Path, status: int | None
) -> None:
    ready.mishaps = [("payments", status)]
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    assert [method for method, _, _ in ready.seen].count("POST") == 2
    assert len(ready.payments) == 1


async def test_an_outcome_that_stays_unknown_is_taken_up_by_the_same_command(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps = [("payments", None)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    _, err = capsys.readouterr()
    assert "NOT KNOWN" in err
    assert "same command again" in " ".join(err.split())
    assert len(unanswered(shop)) == 1
    ready.mishaps = []
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    _, err = capsys.readouterr()
    assert "not charged twice" in " ".join(err.split())
    assert len(ready.payments) == 1
    assert unanswered(shop) == []


async def test_a_charge_that_never_left_is_no_charge(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point_nowhere(shop)
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    err = " ".join(capsys.readouterr().err.split())
    assert "Nothing was charged" in err
    assert unanswered(shop) == []
    assert await run(shop, *CHARGE, "--json") == Exit.UNKNOWN
    assert json.loads(capsys.readouterr().out)["outcome"] == "not_charged"


async def test_an_issuer_that_is_gone_after_a_lost_answer_leaves_the_charge_open(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps = [("payments", None)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    [kept] = unanswered(shop)
    point_nowhere(kept, ready.url)
    point_nowhere(shop)
    capsys.readouterr()
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    assert "NOT KNOWN" in capsys.readouterr().err, "the earlier attempt may have gone through"
    assert unanswered(shop) == [kept]


async def test_new_makes_a_second_charge(ready: FakeIssuer, shop: Path) -> None:
    ready.mishaps = [("payments", None)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    ready.mishaps = []
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE, "--new") == Exit.COMPLETED
    assert len(ready.payments) == 2


async def test_the_issuer_is_lost_while_waiting(ready: FakeIssuer, shop: Path) -> None:
    ready.steps = list(PAID)
    ready.mishaps = [("/pay_", None), ("/pay_", 503)]
    assert await run(shop, *CHARGE) == Exit.COMPLETED


async def test_ctrl_c_cancels_at_the_issuer_and_says_so(ready: FakeIssuer, shop: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "merchant_terminal", "--config", str(shop), *CHARGE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "MERCHANT_TERMINAL_PATIENCE": "5"},
    )
    await ready.waited_for.wait()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == Exit.NOT_SETTLED
    assert b"You cancelled" in out
    assert b"cancelling at the issuer" in err
    assert b"Traceback" not in err
    assert [payment["reason"] for payment in ready.payments.values()] == ["cancelled_by_merchant"]
    assert unanswered(shop) == []


async def test_ctrl_c_too_late_prints_the_receipt(ready: FakeIssuer, shop: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "merchant_terminal", "--config", str(shop), *CHARGE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await ready.waited_for.wait()
    next(iter(ready.payments.values())).update(status="completed", card_last_four="3184")
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == Exit.COMPLETED
    assert b"RECEIPT" in out
    assert b"Traceback" not in err


async def test_a_killed_terminal_takes_its_charge_up_again(ready: FakeIssuer, shop: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "merchant_terminal", "--config", str(shop), *CHARGE),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await ready.waited_for.wait()
    process.kill()
    await process.wait()
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    assert len(ready.payments) == 1


async def test_status_list_and_cancel(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps = [("/pay_", 503)] * 20
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    ready.mishaps = []
    payment_id = next(iter(ready.payments))
    assert await run(shop, "status", payment_id) == Exit.UNKNOWN
    assert "still running" in capsys.readouterr().out
    assert await run(shop, "list") == Exit.COMPLETED
    assert payment_id in capsys.readouterr().out
    assert await run(shop, "cancel", payment_id) == Exit.COMPLETED
    assert "No money has moved" in capsys.readouterr().out
    assert await run(shop, "status", payment_id) == Exit.NOT_SETTLED
    ready.payments[payment_id].update(status="completed", reason=None)
    assert await run(shop, "cancel", payment_id) == Exit.NOT_SETTLED
    assert "Too late" in capsys.readouterr().out
    assert await run(shop, "status", payment_id) == Exit.COMPLETED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--phone", "090"), "country code"),
        (("--amount", "12.505"), "decimals"),
        (("--amount", "-3"), "more than zero"),
        (("--amount", "0"), "more than zero"),
        (("--amount", "1e3"), "digits"),
        (("--currency", "BTC"), "ISO 4217"),
        (("--order", ""), "order"),
        (("--order", "x" * 81), "order"),
        (("--order", "two\ncoffees"), "order"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], says: str
) -> None:
    assert await run(shop, *CHARGE, f"{arguments[0]}={arguments[1]}") == Exit.BAD_INPUT
    assert says in " ".join(capsys.readouterr().err.split())
    assert ready.seen == []


async def test_a_refusal_of_the_issuer_is_a_sentence(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(shop, *CHARGE, "--phone", "+81900000999") == Exit.BAD_INPUT
    err = capsys.readouterr().err
    assert "No customer of this issuer" in err
    assert "req_1" in err
    assert unanswered(shop) == [], "nothing was charged, so there is nothing to take up"


async def test_login_stores_nothing_that_the_issuer_does_not_accept(
    issuer: FakeIssuer, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await log_in(issuer, shop, monkeypatch, "wrong-" + KEY) == Exit.BAD_INPUT
    assert "does not accept your API key" in capsys.readouterr().err
    assert await run(shop, "list") == Exit.BAD_INPUT
    assert "login --issuer" in capsys.readouterr().err


async def test_something_else_that_answers_is_named(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="<html>router login</html>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/{anything:.*}", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        fake = FakeIssuer(url=f"http://127.0.0.1:{runner.addresses[0][1]}")
        assert await log_in(fake, shop, monkeypatch) == Exit.UNKNOWN
        assert "not a Blind Relay issuer" in capsys.readouterr().err
    finally:
        await runner.cleanup()


async def test_nobody_answers(
    issuer: FakeIssuer, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = FakeIssuer(url="http://127.0.0.1:1")
    assert await log_in(nobody, shop, monkeypatch) == Exit.UNKNOWN
    assert "cannot connect" in capsys.readouterr().err.lower()


async def test_a_certificate_file_is_found_again_from_another_folder(
    issuer: FakeIssuer, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificate(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
    assert await run(shop, "login", "--issuer", issuer.url, "--ca-file", "nothing.pem") == Exit.BAD_INPUT
    assert sys.stdin.read() == KEY + "\n", "the key is asked for when all else is right"
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
    assert await run(shop, "login", "--issuer", issuer.url, "--ca-file", "cert.pem") == Exit.COMPLETED
    monkeypatch.chdir("/")
    assert await run(shop, "list") == Exit.COMPLETED
