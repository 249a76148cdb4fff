"""What the issuer logs: enough to follow a payment, and never a byte of what passed through it."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from pathlib import Path

import pytest

from issuer_server.operations.logs import JsonLines, PlainLines, formatter_for
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
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(request, "864275319028"))
        frame = await issuer.phone.heard("pin_request", payment_id, 2)
        await issuer.from_reader(payment_id, "pin_envelope", issuer.reader.type_pin(unb64(frame["data"])))
        await issuer.ended(payment_id)
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    moves = [line["state"] for line in lines if line.get("payment_id") == payment_id and "state" in line]
    assert moves[0] == "calling"
    assert moves[-1] == "completed"
    assert any(line.get("code") == "envelope_refused" and line["dropped"] == 1 for line in lines)
    everything = caplog.text
    for secret in (PAN, PAN[:12], "864275319028", b64(forged)[:40], forged.hex()[:40], "YAMADA"):
        assert secret not in everything


def test_an_exception_is_logged_by_its_type_alone() -> None:
    try:
        raise ValueError(PAN)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", (), sys.exc_info())
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["message"], line["exception"]) == ("error", "it failed", "ValueError")
    assert PAN not in json.dumps(line)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_reads_lines_and_a_program_json() -> None:
    assert isinstance(formatter_for(Terminal()), PlainLines)
    assert isinstance(formatter_for(io.StringIO()), JsonLines)


def test_a_plain_line_is_time_message_and_what_is_wrong() -> None:
    said = logging.LogRecord("x", logging.INFO, "f", 1, "payment %s: calling", ("pay_1",), None)
    assert re.fullmatch(r"\d\d:\d\d:\d\d payment pay_1: calling", PlainLines().format(said))
    try:
        raise ValueError(PAN)
    except ValueError:
        failed = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", (), sys.exc_info())
    line = PlainLines().format(failed)
    assert re.fullmatch(r"\d\d:\d\d:\d\d error: it failed \(ValueError\)", line)
    assert PAN not in line
