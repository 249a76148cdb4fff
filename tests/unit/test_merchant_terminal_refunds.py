"""The command's refunds, and its patience with an issuer that says no."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO

import pytest

from merchant_terminal.failures import Exit
from merchant_terminal.kept_file import lock
from merchant_terminal.refunding import hold_refund
from protocol.errors import InputError
from protocol.money import currency, parse_amount
from tests.unit import merchant_bench
from tests.unit.merchant_bench import (
    CHARGE,
    PAID,
    FakeIssuer,
    point_nowhere,
    run,
    unanswered,
)

# The fixtures that both modules use.
issuer = merchant_bench.issuer
shop = merchant_bench.shop
ready = merchant_bench.ready


async def paid_payment(ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]) -> str:
    ready.steps = list(PAID)
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    capsys.readouterr()
    return next(iter(ready.payments))


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said to the person, in one line."""
    return " ".join(capsys.readouterr().err.split())


def point_back(shop: Path, issuer: FakeIssuer) -> None:
    shop.write_text(f'issuer = "{issuer.url}"\n')


async def test_refund_a_part_and_then_the_rest(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    assert await run(shop, "refund", payment, "--amount", "2.50") == Exit.COMPLETED
    assert "USD 2.50 refunded: ref_" in (out := capsys.readouterr().out)
    assert "Refunded so far: USD 2.50 of USD 12.50." in out
    assert await run(shop, "refund", payment, "--json") == Exit.COMPLETED
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["refund"]["amount"], told["payment"]["refunded_amount"]) == (
        "refunded",
        1000,
        1250,
    )
    assert await run(shop, "refund", payment) == Exit.BAD_INPUT
    assert "more than is left" in capsys.readouterr().err
    assert await run(shop, "status", payment) == Exit.COMPLETED
    assert "Refunded" in capsys.readouterr().out
    assert unanswered(shop) == []


async def test_a_refund_whose_answer_is_lost_is_not_made_twice(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    monkeypatch.setenv("MERCHANT_TERMINAL_PATIENCE", "0")
    ready.mishaps = [("/refunds", None)]
    assert await run(shop, "refund", payment, "--amount", "1") == Exit.UNKNOWN
    assert "NOT KNOWN" in capsys.readouterr().err
    assert await run(shop, "refund", payment, "--amount", "1.00") == Exit.COMPLETED
    out, err = capsys.readouterr()
    assert "sent before" in err
    assert "Refunded so far: USD 1.00" in out
    assert await run(shop, "refund", payment, "--amount", "1") == Exit.COMPLETED
    assert "Refunded so far: USD 2.00" in capsys.readouterr().out, "a new refund, now that the first is told"


async def test_a_refund_that_never_left_is_none_and_one_that_may_have_stays_open(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    monkeypatch.setenv("MERCHANT_TERMINAL_PATIENCE", "0")
    point_nowhere(shop)
    assert await run(shop, "refund", payment) == Exit.UNKNOWN
    assert "Nothing was given back. Is this machine online" in (err := told(capsys))
    assert "NOT KNOWN" not in err
    assert await run(shop, "refund", payment, "--json") == Exit.UNKNOWN
    assert json.loads(capsys.readouterr().out)["outcome"] == "not_refunded"
    point_back(shop, ready)
    ready.mishaps, ready.retry_after = [("/refunds", 429)], "3600"
    assert await run(shop, "refund", payment) == Exit.UNKNOWN
    assert "The issuer asks to wait. Nothing was given back. Try again later." in told(capsys)
    assert unanswered(shop) == []
    ready.mishaps = [("/refunds", None)]
    assert await run(shop, "refund", payment) == Exit.UNKNOWN
    point_nowhere(shop)
    capsys.readouterr()
    assert await run(shop, "refund", payment) == Exit.UNKNOWN
    assert "NOT KNOWN" in capsys.readouterr().err, "the one before may have gone through"
    assert len(unanswered(shop)) == 1


async def test_a_merchant_blocked_after_a_lost_answer_keeps_the_refund_open(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    ready.mishaps = [("/refunds", None), ("/refunds", 403)]
    assert await run(shop, "refund", payment) == Exit.BAD_INPUT
    assert len(ready.refunds) == len(unanswered(shop)) == 1


async def test_the_refunds_of_a_payment_are_listed(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    assert await run(shop, "refunds", payment) == Exit.COMPLETED
    assert "No refunds" in capsys.readouterr().out
    assert await run(shop, "refund", payment, "--amount", "2.50") == Exit.COMPLETED
    assert await run(shop, "refund", payment, "--amount", "1") == Exit.COMPLETED
    capsys.readouterr()
    assert await run(shop, "refunds", payment) == Exit.COMPLETED
    newest, older, more = capsys.readouterr().out.splitlines()
    assert ("USD 1.00" in newest, "USD 2.50" in older) == (True, True)
    cursor = more.split()[-1]
    assert more == f"Older ones: merchant-terminal refunds {payment} --cursor {cursor}"
    assert await run(shop, "refunds", payment, "--cursor", cursor, "--json") == Exit.COMPLETED
    told = json.loads(capsys.readouterr().out)
    assert [each["amount_text"] for each in told["refunds"]] == ["USD 1.00"]
    assert await run(shop, "refunds", "pay_x") == Exit.BAD_INPUT


async def test_a_refund_is_one_windows_alone_until_its_end(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    held = hold_refund(shop.with_suffix(".unanswered"), payment, parse_amount("1", currency("USD")))
    listed = f"`merchant-terminal refunds {payment}`"
    assert await run(shop, "refund", payment, "--amount", "1") == Exit.BAD_INPUT
    assert f"Another window is asking for this very refund. Wait for its end, then see {listed}" in told(
        capsys
    )
    assert await run(shop, "refund", payment, "--amount", "2", "--json") == Exit.COMPLETED, "another one"
    assert json.loads(capsys.readouterr().out)["taken_up_again"] is False
    assert (unanswered(shop), len(ready.refunds)) == ([held.path], 1)
    held.release()
    assert await run(shop, "refund", payment, "--amount", "1", "--json") == Exit.COMPLETED
    assert json.loads(capsys.readouterr().out)["taken_up_again"] is True
    assert (held.key in ready.refunds, unanswered(shop)) == (True, [])


def test_a_refund_that_the_other_window_ended_this_moment_is_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hold_refund(tmp_path, "pay_x", None)

    def slowly(file: IO[str]) -> bool:
        if not first.file.closed:
            first.answered()
        return lock(file)

    monkeypatch.setattr("merchant_terminal.refunding.lock", slowly)
    second = hold_refund(tmp_path, "pay_x", None)
    assert (second.taken_up, second.path.read_text()) == (False, second.key)
    assert second.key != first.key
    second.answered()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0" * 31, "\0" * 32, "ü" * 32], ids=["short", "empty block", "text"])
def test_a_damaged_refund_is_for_a_person_to_look_at(tmp_path: Path, text: str) -> None:
    hold_refund(tmp_path, "pay_x", None).release()
    [kept] = tmp_path.iterdir()
    kept.write_text(text)
    for _ in range(2):
        with pytest.raises(InputError, match="is damaged: see `merchant-terminal refunds pay_x`"):
            hold_refund(tmp_path, "pay_x", None)
    kept.write_text("")  # a crash before it was written, and so before it was sent
    held = hold_refund(tmp_path, "pay_x", None)
    assert not held.taken_up
    held.release()


async def test_no_issuer_before_the_refund_was_sent_is_no_refund(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await paid_payment(ready, shop, capsys)
    ready.elsewhere = True
    assert await run(shop, "refund", payment) == Exit.UNKNOWN
    assert (
        "What answered is not a Blind Relay issuer (HTTP 302). Nothing was given back. Is this machine online"
        in told(capsys)
    )
    assert unanswered(shop) == []
    hold_refund(shop.with_suffix(".unanswered"), payment, None).release()
    assert await run(shop, "refund", payment) == Exit.UNKNOWN
    assert "NOT KNOWN" in told(capsys), "the one before may have gone through"


async def test_a_merchant_blocked_after_a_lost_answer_keeps_the_charge_open(
    ready: FakeIssuer, shop: Path
) -> None:
    ready.mishaps = [("payments", None), ("payments", 403)]
    assert await run(shop, *CHARGE) == Exit.BAD_INPUT
    assert len(ready.payments) == 1, "the customer's phone rang"
    assert len(unanswered(shop)) == 1


async def test_a_command_in_a_message_is_not_broken_in_two(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(shop, "list") == Exit.BAD_INPUT
    assert "merchant-terminal login --issuer" in capsys.readouterr().err.replace("\n", " ")


async def test_it_waits_as_long_as_the_issuer_asks(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERCHANT_TERMINAL_PATIENCE", "5")
    ready.steps, ready.mishaps, ready.retry_after = list(PAID), [("/v1/payments", 429)], "1"
    began = time.monotonic()
    assert await run(shop, *CHARGE) == Exit.COMPLETED
    assert time.monotonic() - began >= 1.0
    assert "asks to wait, trying again in 1 s" in capsys.readouterr().err


async def test_a_wait_beyond_its_patience_is_told_at_once_and_nothing_was_charged(
    ready: FakeIssuer, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.mishaps, ready.retry_after = [("/v1/payments", 429)], "3600"
    assert await run(shop, *CHARGE) == Exit.UNKNOWN
    assert "The issuer asks to wait. Nothing was charged. Try again later." in told(capsys)
    assert unanswered(shop) == []
