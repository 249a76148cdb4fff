"""What the issuer logs: enough to follow a payment, and never a byte of what passed through it."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from issuer_server.logs import JsonLines
from issuer_server.payment import PaymentState
from issuer_server.storage.sqlite import SqliteStorage
from protocol.signing import digest
from tests.unit.issuer_bench import PAN, b64, bench, unb64


async def test_a_payment_can_be_followed_and_nothing_secret_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(JsonLines())
    async with bench(tmp_path, pin_attempts=2) as issuer:
        payment_id, request = await issuer.pin_asked()
        live = issuer.application._payments.get(payment_id)
        assert live is not None
        caplog.handler.stream.write(json.dumps({"live": repr(live)}) + "\n")
        forged = issuer.reader.type_pin(request)[:-1] + b"\0"
        await issuer.from_reader(payment_id, "pin_envelope", forged)
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, "8642"))
        frame = await issuer.phone.heard("pin_request", payment_id, 2)
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(unb64(frame["data"])))
        await issuer.ended(payment_id)
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    moves = [line["state"] for line in lines if line.get("payment_id") == payment_id and "state" in line]
    assert moves[0] == "calling"
    assert moves[-1] == "completed"
    assert any(line.get("code") == "envelope_refused" and line["dropped"] == 1 for line in lines)
    everything = caplog.text
    for secret in (PAN, PAN[:12], "8642", b64(forged)[:40], forged.hex()[:40], "YAMADA"):
        assert secret not in everything


def test_an_exception_is_logged_by_its_type_alone() -> None:
    try:
        raise ValueError(PAN)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", (), sys.exc_info())
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["message"], line["exception"]) == ("error", "it failed", "ValueError")
    assert PAN not in json.dumps(line)


async def test_a_card_without_a_pin_is_not_asked_for_one(tmp_path: Path) -> None:
    class NoPin:
        """The real storage, whose cards have no PIN verifier."""

        def __init__(self, real: SqliteStorage) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        async def card_by_index(self, index: Any) -> Any:
            card = await self._real.card_by_index(index)
            return card and replace(card, pin_verifier=b"")

    def wrap(storage: SqliteStorage) -> Any:
        return NoPin(storage)

    async with bench(tmp_path, wrap_storage=wrap) as issuer:
        payment_id = await issuer.offered()
        await issuer.from_reader(payment_id, "card_envelope", issuer.reader.swipe())
        assert (await issuer.ended(payment_id)).state is PaymentState.COMPLETED
        outcome = await issuer.outcome(payment_id)
        assert outcome.last_message == digest(issuer.reader.last_sent)
        assert "pin_request" not in issuer.phone.heard_kinds(payment_id)
