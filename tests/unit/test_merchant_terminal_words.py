"""What a shop types and reads at the command: currency, ids, the list's reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from merchant_terminal.cli import main
from merchant_terminal.failures import Exit
from merchant_terminal.listing import summary
from merchant_terminal.payment import Payment
from merchant_terminal.sentences import REASON_SENTENCES, reason_sentence

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("reason", [*REASON_SENTENCES, "newer_than_this"])
def test_a_list_says_the_reason_in_words(reason: str) -> None:
    payment = Payment.parse(
        {
            "id": "pay_aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "status": "not_settled",
            "reason": reason,
            "amount": 1200,
            "currency": "JPY",
            "order": "2 coffees",
            "phone": "+819012345678",
            "card_last_four": None,
            "created_at": "2026-11-22T10:00:00Z",
            "updated_at": "2026-11-22T10:00:09Z",
        }
    )
    lines = summary(payment).splitlines()
    assert lines[0].endswith("  not paid")
    assert reason_sentence(reason).startswith(lines[2].strip())
    assert "_" not in lines[2]
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("command", ["status", "cancel", "refund", "refunds"])
def test_a_mistyped_id_is_said_before_anything_else_is_looked_at(
    command: str, tmp_path: Path, capsys: Capture
) -> None:
    no_config = str(tmp_path / "shop.toml")
    assert main(["--config", no_config, "--json", command, "pay_x"]) == Exit.BAD_INPUT
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "invalid_payment_id"
