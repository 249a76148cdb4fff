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
        raise InputError("enrolment_refused", _refused(code, body))
    raise InputError("issuer_failed", f"The issuer answered {status}. Try again later.")


def _refused(code: EnrolmentCode, body: bytes) -> str:
    """Why, and what to do; the answer's own words are a stranger's and not shown."""
    match _problem_code(body):
        case "enrolment_code_unknown":
            return (
                f"The issuer at {code.issuer_url} does not know this code. The code was made by"
                f" {code.issuer_id}: is that another issuer, or one that was set up anew since?"
                " Ask your bank for a new one."
            )
        case "enrolment_code_used":
            return "This code is used up: it enrols one phone, once. Ask for a new one."
        case "enrolment_code_expired":
            return "This code is older than 24 hours. Ask for a new one."
        case _:
            return (
                f"{code.issuer_url} does not take this code. Is it your bank's address? A code works once,"
                " for 24 hours. Ask for a new one."
            )


def _problem_code(body: bytes) -> object:
    """The `code` of problem details (RFC 9457), None where there are none."""
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return problem.get("code") if isinstance(problem, dict) else None


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
