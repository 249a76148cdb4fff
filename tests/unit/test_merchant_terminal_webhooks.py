"""The merchant's side of webhooks: verification with the standard library, and `listen`."""

from __future__ import annotations

import ast
import base64
import io
import json
import sys
from pathlib import Path

import aiohttp
import pytest

from issuer_server.webhooks.messages import signature_headers
from merchant_terminal import webhooks
from merchant_terminal.cli import main
from merchant_terminal.failures import Exit
from merchant_terminal.listening import listener
from merchant_terminal.webhooks import WebhookError, WebhookEvent, WebhookSecret, verify
from protocol.errors import InputError

KEY = bytes(range(32))
SECRET = WebhookSecret("whsec_" + base64.b64encode(KEY).decode())
NOW = 1_700_000_000.0
PAYMENT = {
    "id": "pay_a",
    "status": "completed",
    "reason": None,
    "amount": 1250,
    "refunded_amount": 250,
    "currency": "USD",
    "order": "2 coffees",
    "phone": "+819012345678",
    "card_last_four": "7899",
    "created_at": "2026-11-22T12:00:00.000Z",
    "updated_at": "2026-11-22T12:00:00.000Z",
}
REFUND = {"id": "ref_a", "payment_id": "pay_a", "amount": 250, "currency": "USD", "created_at": "x"}
BODY = json.dumps(
    {"type": "payment.refunded", "timestamp": "x", "data": {"payment": PAYMENT, "refund": REFUND}}
).encode()


def headers(body: bytes = BODY, stamp: float = NOW, key: bytes = KEY) -> dict[str, str]:
    return signature_headers("msg_1", stamp, body, [key])


def test_a_webhook_is_verified_and_typed() -> None:
    event = verify(SECRET, {name.title(): value for name, value in headers().items()}, BODY, NOW + 299)
    assert (event.id, event.type) == ("msg_1", "payment.refunded")
    assert (event.payment.amount.minor, event.payment.refunded) == (1250, 250)
    assert event.refund is not None
    assert event.refund.amount.minor == 250


@pytest.mark.parametrize(
    ("changes", "body", "now"),
    [
        ({}, BODY + b" ", NOW),
        ({}, BODY, NOW + 301),
        ({}, BODY, NOW - 301),
        ({"webhook-id": "msg_2"}, BODY, NOW),
        ({"webhook-timestamp": str(int(NOW) + 1)}, BODY, NOW),
        ({"webhook-timestamp": "now"}, BODY, NOW),
        ({"webhook-timestamp": "\u0661"}, BODY, NOW),
        ({"webhook-timestamp": "9" * 400}, BODY, NOW),
        ({"webhook-signature": ""}, BODY, NOW),
        ({"webhook-signature": "v1,"}, BODY, NOW),
        ({"webhook-signature": "v1,%%%"}, BODY, NOW),
        ({"webhook-signature": headers()["webhook-signature"].replace("v1", "v2")}, BODY, NOW),
        (headers(key=b"x" * 32), BODY, NOW),
    ],
)
def test_what_is_not_the_issuers_or_not_of_now_is_refused(
    changes: dict[str, str], body: bytes, now: float
) -> None:
    with pytest.raises(WebhookError):
        verify(SECRET, {**headers(), **changes}, body, now)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(missing: str) -> None:
    sent = headers()
    del sent[missing]
    with pytest.raises(WebhookError, match=missing):
        verify(SECRET, sent, BODY, NOW)


def test_one_right_signature_among_others_is_enough() -> None:
    sent = headers()
    sent["webhook-signature"] = f"v1a,xyz v1,AAAA {sent['webhook-signature']} v1,%"
    assert verify(SECRET, sent, BODY, NOW).id == "msg_1"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"type": 1, "data": []}', b'{"data": {"payment": {}}}']
)
def test_a_signed_body_that_says_nothing_known_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookError, match="not known"):
        verify(SECRET, headers(body), body, NOW)


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_AAAA", "AAAA" * 8, "whsec_" + "A" * 31, "xwhsec_" + "A" * 32]
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(InputError):
        WebhookSecret(text)


def test_a_secret_does_not_show() -> None:
    assert SECRET.text not in repr(SECRET)


def test_verification_needs_no_library() -> None:
    names = {
        (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(Path(webhooks.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert names - {"merchant_terminal", "protocol"} <= sys.stdlib_module_names


async def test_listening_shows_what_is_verified_and_refuses_the_rest() -> None:
    shown: list[tuple[WebhookEvent, bool]] = []
    refused: list[str] = []

    async def post(url: str, sent: dict[str, str], body: bytes = BODY) -> int:
        async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=sent) as answer:
            return answer.status

    async with listener(
        SECRET, 0, lambda event, again: shown.append((event, again)), refused.append, clock=lambda: NOW
    ) as url:
        assert [await post(url, headers()) for _ in range(2)] == [204, 204]
        assert await post(url, headers(key=b"x" * 32)) == 400
        assert await post(url, headers(), BODY + b" " * 70_000) == 413
    assert [(event.id, again) for event, again in shown] == [("msg_1", False), ("msg_1", True)]
    assert refused == ["no signature on it is of this secret"]


def test_listen_refuses_what_is_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("brm_key\n"))
    assert main(["listen", "--port", "0"]) == Exit.BAD_INPUT
    assert "whsec_" in capsys.readouterr().err
