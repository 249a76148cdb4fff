"""Enrolment over HTTP: the one-time code's secret for this phone's credential."""

from __future__ import annotations

import base64
import json
import ssl
from typing import Final

import aiohttp

from handset_client.ports import Credential
from protocol.enrolment import EnrolmentCode
from protocol.errors import InputError
from protocol.identifiers import check_handset_id, parse_phone_number
from protocol.text import shown

PATH: Final = "/v1/enrolments/handset"
PATIENCE: Final = 15.0
LARGEST_ANSWER: Final = 16 * 1024
LONGEST_TOKEN: Final = 512


async def enrol(code: EnrolmentCode, tls: ssl.SSLContext | None) -> Credential:
    """Trade the code for a credential. Raises InputError with what to do about it."""
    secret = base64.urlsafe_b64encode(code.secret).rstrip(b"=").decode("ascii")
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(
                code.issuer_url.rstrip("/") + PATH,
                json={"secret": secret},
                ssl=tls if tls is not None else True,
                allow_redirects=False,
            ) as response,
        ):
            body = await _read(response.content)
            status = response.status
    except (aiohttp.ClientError, OSError) as error:
        raise InputError(
            "issuer_unreachable",
            f"Cannot reach {code.issuer_url} ({shown(str(error) or type(error).__name__, 120)}). "
            "Check the network and try again: the code is still good.",
        ) from None
    if status == 201:
        return _credential(code, body)
    if 400 <= status < 500:
        raise InputError(
            "enrolment_refused",
            "The issuer does not take this code: it is used up or older than 24 hours. Ask for a new one.",
        )
    raise InputError("issuer_failed", f"The issuer answered {status}. Try again later.")


async def _read(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_chunked(4096):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise InputError("issuer_failed", "The issuer's answer is too long. Is the address right?")
    return bytes(body)


def _credential(code: EnrolmentCode, body: bytes) -> Credential:
    try:
        answer = json.loads(body)
        token = answer["token"]
        if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN or not token.isascii():
            raise ValueError
        if not token.isprintable() or " " in token:
            raise ValueError
        return Credential(
            code.issuer_url,
            code.issuer_id,
            check_handset_id(answer["handset_id"]),
            parse_phone_number(answer["phone"]),
            token,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            "issuer_failed", "The issuer's answer is not what a handset expects. Ask for a new code."
        ) from None
