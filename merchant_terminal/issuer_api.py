"""The issuer's merchant API as typed calls (DESIGN.md section 8; errors are RFC 9457 problem+json).

Amounts are integer minor units on the wire and `Money` here. Every call is safe to repeat: reads by nature,
`cancel` because a cancelled payment stays cancelled, `create_payment` and `refund` by their idempotency keys.
So every call is repeated with back-off while the issuer cannot be reached; `UnreachableError` means that all
was in vain.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import aiohttp

from merchant_terminal.errors import NotAnIssuerError, ProblemError, UnreachableError
from merchant_terminal.payment import Charge, Page, Payment, Refund, RefundPage, optional_text
from protocol.enrolment import is_loopback
from protocol.errors import InputError
from protocol.money import Money
from protocol.text import shown

MAX_ANSWER_BYTES = 1 << 20
"""No answer of this API comes near a mebibyte; more is some other server."""

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""Time to answer a call, beyond the seconds that a long poll asked for."""

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
"""Too busy, or broken on the way: the same call may succeed later."""

RETRIED_CODES = frozenset({"idempotency_key_in_progress", "idempotency_key_in_use"})
"""409 while the first call with this idempotency key still runs (IETF idempotency-key draft, section 2.7)."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A merchant's API key. Never shown: its repr is masked and it has no str of its own."""

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 16 <= len(self.secret) <= 256 or not all("!" <= character <= "~" for character in self.secret):
            raise InputError(
                "invalid_api_key",
                "That does not look like an API key: paste all that `issuer-server merchant add` printed.",
            )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with jitter; all values in seconds."""

    first_delay: float = 0.5
    longest_delay: float = 8.0
    give_up_after: float = 45.0

    def delay(self, attempt: int, jitter: float) -> float:
        """Seconds before retry number `attempt` (from 1); `jitter` in 0..1 takes off up to half."""
        full = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 16))
        return full * (1.0 - jitter / 2.0)


@dataclass(frozen=True, slots=True)
class Retry:
    """One announced retry: what went wrong and how long until the next attempt."""

    attempt: int
    delay: float
    why: str


def check_issuer_url(url: str) -> str:
    """Return the URL without a trailing slash; plain http is accepted on loopback only."""
    advice = "The issuer's address must look like https://issuer.example or http://127.0.0.1:8080."
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InputError("invalid_issuer_url", advice) from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise InputError("invalid_issuer_url", advice)
    if parts.scheme == "http" and not is_loopback(host):
        raise InputError(
            "plain_http_refused",
            f"Plain http to {shown(host)} would show your API key to the network: use https://.",
        )
    return url.strip().rstrip("/")


class IssuerApi:
    """One merchant's session with one issuer. Use as an async context manager."""

    def __init__(
        self,
        issuer_url: str,
        key: ApiKey,
        *,
        retries: RetryPolicy | None = None,
        on_retry: Callable[[Retry], None] = lambda retry: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = check_issuer_url(issuer_url)
        self._key = key
        self._retries = retries or RetryPolicy()
        self._on_retry = on_retry
        self._tls: ssl.SSLContext | bool = tls or True
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(raise_for_status=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def create_payment(self, charge: Charge, idempotency_key: str) -> Payment:
        """Ask for a payment. The same key and charge give the same payment, however often they are sent."""
        document = {
            "phone": charge.phone,
            "amount": charge.amount.minor,
            "currency": charge.amount.currency.code,
            "order": charge.order,
        }
        answer = await self._call("POST", "/v1/payments", document, {"Idempotency-Key": idempotency_key})
        return Payment.parse(answer)

    async def payment(self, payment_id: str, *, wait: int = 0, seen: str | None = None) -> Payment:
        """The payment as it stands; with `wait`, the answer may take so many seconds for its end.

        With `seen`, a status, it comes as soon as the payment is in another state than that.
        """
        path = f"/v1/payments/{quote(payment_id, safe='')}"
        if wait:
            path += f"?wait={wait}" + (f"&seen={quote(seen, safe='')}" if seen is not None else "")
        return Payment.parse(await self._call("GET", path, patience=float(wait)))

    async def payments(self, *, limit: int = 20, cursor: str | None = None) -> Page:
        """The merchant's payments, newest first."""
        found, cursor = await self._page("/v1/payments", "payments", limit, cursor)
        return Page(tuple(Payment.parse(each) for each in found), cursor)

    async def cancel(self, payment_id: str) -> Payment:
        """Cancel, and return the payment as it then stands: it may have completed a moment before."""
        return Payment.parse(await self._call("POST", f"/v1/payments/{quote(payment_id, safe='')}/cancel"))

    async def refund(self, payment_id: str, amount: Money | None, idempotency_key: str) -> Refund:
        """Give back `amount`, or all that is left. The same key and amount give the same refund."""
        path = f"/v1/payments/{quote(payment_id, safe='')}/refunds"
        document = {} if amount is None else {"amount": amount.minor}
        return Refund.parse(await self._call("POST", path, document, {"Idempotency-Key": idempotency_key}))

    async def refunds(self, payment_id: str, *, limit: int = 20, cursor: str | None = None) -> RefundPage:
        """A payment's refunds, newest first."""
        path = f"/v1/payments/{quote(payment_id, safe='')}/refunds"
        found, cursor = await self._page(path, "refunds", limit, cursor)
        return RefundPage(tuple(Refund.parse(each) for each in found), cursor)

    async def _page(
        self, path: str, name: str, limit: int, cursor: str | None
    ) -> tuple[list[object], str | None]:
        path += f"?limit={limit}"
        if cursor is not None:
            path += f"&cursor={quote(cursor, safe='')}"
        answer = await self._call("GET", path)
        if not isinstance(answer, dict) or not isinstance(found := answer.get(name), list):
            raise NotAnIssuerError(f"the issuer's answer is not a list of {name}")
        return found, optional_text(answer, "next_cursor")

    async def _call(
        self,
        method: str,
        path: str,
        document: object = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> object:
        """One call with its retries; only failures that may pass are retried."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._retries.give_up_after
        attempt, never_sent = 0, True
        while True:
            attempt += 1
            try:
                return await self._attempt(method, path, document, headers or {}, patience)
            except UnreachableError as failure:
                never_sent = never_sent and failure.never_sent
                delay = self._retries.delay(attempt, random.random())  # noqa: S311 (spreads load, keeps no secret)
                delay = max(delay, failure.retry_after)
                if loop.time() + delay > give_up_at:
                    raise UnreachableError(str(failure), never_sent=never_sent, busy=failure.busy) from None
                self._on_retry(Retry(attempt, delay, str(failure)))
            await asyncio.sleep(delay)

    async def _attempt(
        self, method: str, path: str, document: object, headers: Mapping[str, str], patience: float
    ) -> object:
        if self._session is None:
            raise RuntimeError("IssuerApi is used inside 'async with'")
        try:
            async with self._session.request(
                method,
                self._url + path,
                json=document,
                headers={**headers, "Authorization": f"Bearer {self._key.secret}"},
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS + patience, connect=CONNECT_SECONDS),
                ssl=self._tls,
                # A redirect could carry the API key to another host.
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        break
                return _judge(response.status, response.headers, bytes(body))
        except aiohttp.ClientConnectorCertificateError:
            raise NotAnIssuerError("the issuer's TLS certificate is not trusted on this machine") from None
        except aiohttp.ClientConnectorError:
            raise UnreachableError("cannot connect to the issuer", never_sent=True) from None
        except TimeoutError:
            raise UnreachableError("the issuer does not answer") from None
        except aiohttp.ClientError:
            raise UnreachableError("the connection to the issuer broke") from None


def _judge(status: int, headers: Mapping[str, str], body: bytes) -> object:
    """Turn an HTTP answer into JSON or the right error."""
    document: object = None
    content_type = headers.get("Content-Type", "")
    if len(body) <= MAX_ANSWER_BYTES and "json" in content_type:
        try:
            document = json.loads(body)
        except ValueError:
            document = None
    if status in (200, 201) and document is not None:
        return document
    if isinstance(document, dict) and isinstance(document.get("code"), str):
        problem = ProblemError(
            status,
            shown(document["code"], 64),
            shown(str(document.get("detail") or document.get("title") or ""), 200),
            shown(str(document.get("request_id") or ""), 64),
        )
        if status not in RETRIED_STATUSES and problem.code not in RETRIED_CODES:
            raise problem
    if status == 429:
        # Too many requests: the issuer has done nothing of it.
        wait = _seconds(headers.get("Retry-After", ""))
        raise UnreachableError("the issuer asks to wait", never_sent=True, busy=True, retry_after=wait)
    if status in RETRIED_STATUSES or (document is not None and status == 409):
        wait = _seconds(headers.get("Retry-After", ""))
        raise UnreachableError(f"the issuer is not ready (HTTP {status})", busy=True, retry_after=wait)
    raise NotAnIssuerError(f"what answered is not a Blind Relay issuer (HTTP {status})")


def _seconds(text: str) -> float:
    """A Retry-After in seconds; its other form, a date, is left to the back-off (RFC 9110 section 10.2.3)."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0.0
