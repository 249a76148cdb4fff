"""The description of the HTTP API (OpenAPI 3.1), kept by hand and held to routes and real answers by a test.

Every operation lists each `code` that its problems can carry. It is served as JSON, just as it stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from issuer_server.merchant_requests import LARGEST_PAGE, USUAL_PAGE
from issuer_server.payment import PaymentState
from issuer_server.storage.records import LONGEST_IDEMPOTENCY_KEY
from issuer_server.webhooks.messages import EventType
from protocol.messages import LONGEST_ORDER, NotSettled
from protocol.money import LARGEST_AMOUNT

Codes = Mapping[int, Sequence[str]]
Document = dict[str, Any]

_FAILURES: Final[Codes] = {500: ["internal_error"], 503: ["storage_unavailable"]}
_OF_MERCHANTS: Final[Codes] = {
    401: ["unauthorized"],
    403: ["merchant_blocked"],
    429: ["rate_limited"],
    **_FAILURES,
}
_OF_BODIES: Final[Codes] = {400: ["malformed_json"], 413: ["body_too_large"], 422: ["unknown_field"]}
_OF_KEYS: Final[Codes] = {
    400: ["idempotency_key_missing", "idempotency_key_invalid"],
    422: ["idempotency_key_reused"],
}
_NOT_FOUND: Final[Codes] = {404: ["payment_not_found"]}
_OF_PAGES: Final[Codes] = {422: ["invalid_limit", "invalid_cursor"]}

_AMOUNT: Final = {
    "type": "integer",
    "minimum": 1,
    "maximum": LARGEST_AMOUNT,
    "description": "Whole minor units of the currency: 1250 is USD 12.50 and JPY 1,250.",
}
_CURRENCY: Final = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217", "examples": ["JPY"]}
_TIME: Final = {"type": "string", "format": "date-time"}


def _id(prefix: str) -> Document:
    return {"type": "string", "pattern": f"^{prefix}_[a-z2-7]{{25}}[aeimquy4]$"}


def _object(optional: Sequence[str] = (), /, **properties: Document) -> Document:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(name: str, of: str, cursor: str) -> Document:
    cursor_or_end = {**_id(cursor), "type": ["string", "null"]}
    return _object(**{name: {"type": "array", "items": _ref(of)}, "next_cursor": cursor_or_end})


SCHEMAS: Final[Document] = {
    "PaymentRequest": _object(
        phone={
            "type": "string",
            "description": "The customer's number, with + and country code.",
            "examples": ["+81 90 1234 5678"],
        },
        amount=_AMOUNT,
        currency=_CURRENCY,
        order={
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_ORDER,
            "description": "What is bought: phone and card reader show it.",
            "examples": ["2 coffees"],
        },
    ),
    "Payment": _object(
        id=_id("pay"),
        status={"enum": [state.value for state in PaymentState]},
        reason={
            "enum": [None, *(reason.value for reason in NotSettled)],
            "description": "Why it was not settled.",
        },
        amount=_AMOUNT,
        refunded_amount={"type": "integer", "minimum": 0, "description": "The sum of its refunds."},
        currency=_CURRENCY,
        order={"type": "string"},
        phone={"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"},
        card_last_four={"type": ["string", "null"], "pattern": "^[0-9]{4}$"},
        created_at=_TIME,
        updated_at=_TIME,
    ),
    "PaymentPage": _page("payments", "Payment", "pay"),
    "RefundRequest": _object(("amount",), amount={**_AMOUNT, "description": "Left out: all that is left."}),
    "Refund": _object(
        id=_id("ref"), payment_id=_id("pay"), amount=_AMOUNT, currency=_CURRENCY, created_at=_TIME
    ),
    "RefundPage": _page("refunds", "Refund", "ref"),
    "HandsetEnrolment": _object(
        secret={
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{21}[AQgw]$",
            "description": "16 bytes, base64url.",
        }
    ),
    "EnrolledHandset": _object(handset_id=_id("hst"), token={"type": "string"}, phone={"type": "string"}),
    "ReaderEnrolment": _object(
        proof={
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]+$",
            "description": "A signed ReaderEnrolment, base64url.",
        }
    ),
    "EnrolledReader": _object(reader_id={"type": "string", "pattern": "^[0-9a-f]{4}(-[0-9a-f]{4}){3}$"}),
    "Status": _object(status={"enum": ["ok", "ready"]}),
    "Problem": _object(
        type={"const": "about:blank"},
        title={"type": "string"},
        status={"type": "integer"},
        detail={"type": "string", "description": "For a person: what to do."},
        code={"type": "string", "description": "For a program: it does not change."},
        request_id={"type": "string", "description": "Quote it when you ask the issuer."},
    ),
    "PaymentEvent": _object(
        ("refund",),
        payment=_ref("Payment"),
        refund=_ref("Refund"),
    ),
    "WebhookMessage": _object(
        type={"enum": [event.value for event in EventType]}, timestamp=_TIME, data=_ref("PaymentEvent")
    ),
}


def _merged(*several: Codes) -> dict[int, list[str]]:
    merged: dict[int, list[str]] = {}
    for codes in several:
        for status, names in codes.items():
            merged.setdefault(status, []).extend(names)
    return dict(sorted(merged.items()))


_WAIT_HEADER: Final = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}


def _problem(status: int, codes: Sequence[str]) -> Document:
    schema = {"allOf": [_ref("Problem"), {"properties": {"code": {"enum": list(codes)}}}]}
    return {
        "description": ", ".join(codes),
        "headers": {
            "X-Request-Id": {"schema": {"type": "string"}},
            **(_WAIT_HEADER if status in (429, 503) else {}),
        },
        "content": {"application/problem+json": {"schema": schema}},
    }


def _parameter(name: str, where: str, schema: Document, about: str, required: bool = False) -> Document:
    return {"name": name, "in": where, "required": required, "schema": schema, "description": about}


_ID: Final = _parameter("id", "path", _id("pay"), "pay_…", required=True)
_KEY: Final = _parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "pattern": rf"^[!-~]([ -~]{{0,{LONGEST_IDEMPOTENCY_KEY - 2}}}[!-~])?$"},
    "A new one for each new request; the same one when the same request is sent again.",
    required=True,
)
_LIMIT: Final = _parameter(
    "limit",
    "query",
    {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": USUAL_PAGE},
    "How many.",
)


def _cursor(prefix: str) -> Document:
    return _parameter("cursor", "query", _id(prefix), "`next_cursor` of the page before.")


_WAIT: Final = _parameter(
    "wait",
    "query",
    {"type": "string", "pattern": r"^(60|[0-5]?[0-9])(\.[0-9]{1,3})?$", "examples": ["30"]},
    "Seconds to wait for its end, at most 60.",
)
_SEEN: Final = _parameter(
    "seen",
    "query",
    {"enum": [state.value for state in PaymentState]},
    "With `wait`: answer as soon as the payment is in another status than this.",
)


def _operation(
    name: str,
    summary: str,
    answer: tuple[int, str],
    codes: Codes,
    *,
    parameters: Sequence[Document] = (),
    body: str | None = None,
    open_to_all: bool = False,
) -> Document:
    status, schema = answer
    found: Document = {
        "operationId": name,
        "summary": summary,
        "responses": {
            str(status): {
                "description": "Done.",
                "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": _ref(schema)}},
            },
            **{str(refusal): _problem(refusal, names) for refusal, names in codes.items()},
        },
    }
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        content = {"application/json": {"schema": _ref(body)}}
        found["requestBody"] = {"required": True, "content": content}
    if open_to_all:
        found["security"] = []
    return found


_PATHS: Final[Document] = {
    "/v1/payments": {
        "post": _operation(
            "createPayment",
            "Ask a customer to pay: their phone rings.",
            (201, "Payment"),
            _merged(
                _OF_MERCHANTS,
                _OF_BODIES,
                _OF_KEYS,
                {
                    422: [
                        *("invalid_phone", "unknown_phone", "invalid_amount", "amount_not_positive"),
                        *("amount_too_large", "invalid_currency", "unknown_currency", "invalid_order"),
                    ],
                    429: ["too_many_calls"],
                    503: ["issuer_stopping"],
                },
            ),
            parameters=[_KEY],
            body="PaymentRequest",
        ),
        "get": _operation(
            "listPayments",
            "Your payments, newest first.",
            (200, "PaymentPage"),
            _merged(_OF_MERCHANTS, _OF_PAGES),
            parameters=[_LIMIT, _cursor("pay")],
        ),
    },
    "/v1/payments/{id}": {
        "get": _operation(
            "showPayment",
            "One payment, at once or when it has ended.",
            (200, "Payment"),
            _merged(_OF_MERCHANTS, _NOT_FOUND, {422: ["invalid_wait", "invalid_seen"]}),
            parameters=[_ID, _WAIT, _SEEN],
        )
    },
    "/v1/payments/{id}/cancel": {
        "post": _operation(
            "cancelPayment",
            "End a payment before it settles.",
            (200, "Payment"),
            _merged(_OF_MERCHANTS, _NOT_FOUND, {409: ["payment_not_cancellable"]}),
            parameters=[_ID],
        )
    },
    "/v1/payments/{id}/refunds": {
        "post": _operation(
            "refundPayment",
            "Give money of a completed payment back, all of it or a part.",
            (201, "Refund"),
            _merged(
                _OF_MERCHANTS,
                _OF_BODIES,
                _OF_KEYS,
                _NOT_FOUND,
                {
                    409: ["payment_not_refundable"],
                    422: ["refund_too_large", "invalid_amount", "amount_not_positive", "amount_too_large"],
                },
            ),
            parameters=[_ID, _KEY],
            body="RefundRequest",
        ),
        "get": _operation(
            "listRefunds",
            "A payment's refunds, newest first.",
            (200, "RefundPage"),
            _merged(_OF_MERCHANTS, _NOT_FOUND, _OF_PAGES),
            parameters=[_ID, _LIMIT, _cursor("ref")],
        ),
    },
    "/v1/enrolments/handset": {
        "post": _operation(
            "enrolHandset",
            "A phone trades its one-time code for a token.",
            (201, "EnrolledHandset"),
            _merged(
                _OF_BODIES,
                _FAILURES,
                {
                    404: ["enrolment_code_unknown"],
                    409: ["enrolment_code_used"],
                    410: ["enrolment_code_expired"],
                    422: ["invalid_secret"],
                },
            ),
            body="HandsetEnrolment",
            open_to_all=True,
        )
    },
    "/v1/enrolments/reader": {
        "post": _operation(
            "enrolReader",
            "A card reader proves that it holds its key.",
            (201, "EnrolledReader"),
            _merged(
                _OF_BODIES,
                _FAILURES,
                {
                    404: ["enrolment_code_unknown"],
                    409: ["enrolment_code_used", "reader_already_enrolled"],
                    410: ["enrolment_code_expired"],
                    422: ["invalid_proof"],
                },
            ),
            body="ReaderEnrolment",
            open_to_all=True,
        )
    },
    "/healthz": {"get": _operation("health", "The process answers.", (200, "Status"), {}, open_to_all=True)},
    "/readyz": {
        "get": _operation(
            "readiness",
            "New payments are taken and the database answers.",
            (200, "Status"),
            _merged(_FAILURES, {503: ["issuer_stopping", "keys_unavailable"]}),
            open_to_all=True,
        )
    },
}

OPENAPI: Final[Document] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Blind Relay issuer",
        "version": "1",
        "description": "Charge a customer by phone number; they pay with their own phone and card reader.",
    },
    "security": [{"apiKey": []}],
    "paths": _PATHS,
    "webhooks": {
        event.value: {
            "post": {
                "summary": "Signed by the Standard Webhooks specification; any 2xx answer takes it.",
                "requestBody": {"content": {"application/json": {"schema": _ref("WebhookMessage")}}},
                "responses": {"2XX": {"description": "Taken."}},
            }
        }
        for event in EventType
    },
    "components": {
        "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": "brm_…"}},
        "schemas": SCHEMAS,
    },
}
"""The whole document."""
