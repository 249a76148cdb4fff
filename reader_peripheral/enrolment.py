"""Enrolling this reader with an issuer: its own identity key, the issuer's key pinned, possession proved.

The code comes from the issuer's administration by a way that the owner trusts, and holds the issuer's key:
nothing between here and the issuer need be trusted. The proof is the code's challenge, signed.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import BlindRelayError, InputError
from protocol.identifiers import ReaderId, reader_id, reader_id_text
from protocol.messages import ReaderEnrolment
from protocol.signing import SEED_SIZE, SigningKey, sign_message
from protocol.text import shown
from reader_peripheral.ports import KeyStore, PinnedIssuer
from reader_peripheral.settings import MODEL, check_transport

_ANSWER_SECONDS = 20.0
_LONGEST_ANSWER = 16 * 1024


class EnrolmentError(BlindRelayError):
    """Enrolment failed; the text tells a person what to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reader about to be enrolled: its key exists and is stored, the issuer does not know it yet."""

    code: EnrolmentCode
    key: SigningKey

    @property
    def reader_id(self) -> ReaderId:
        """What to compare with what the issuer's administration shows afterwards."""
        return reader_id(self.key.public_key)

    def proof(self) -> bytes:
        """The signed challenge: COSE_Sign1 of ReaderEnrolment."""
        code = self.code
        enrolment = ReaderEnrolment(code.issuer_id, code.secret, self.key.public_key, MODEL)
        return sign_message(self.key, enrolment)


def read_code(text: str) -> EnrolmentCode:
    """A reader's enrolment code; raises InputError with what to do."""
    code = EnrolmentCode.parse(text)
    if code.kind is not EnrolmentKind.READER:
        raise InputError(
            "code_of_a_handset",
            "This code is for a phone. For a reader, the issuer makes one with: issuer-server reader add",
        )
    return code


def prepare(
    store: KeyStore,
    code: EnrolmentCode,
    random_bytes: Callable[[int], bytes],
    *,
    replace: bool,
    unencrypted: bool,
) -> Candidate:
    """Make or take up the identity key. Raises EnrolmentError when enrolled already.

    A key whose enrolment did not finish is used again. `replace` makes a new one, beside the identity in use:
    that one and its issuer are given up when the new issuer has agreed, and not before.
    """
    check_transport(code.issuer_url, allow_unencrypted=unencrypted)
    # What is replaced need not be readable: a damaged file is a reason to replace it.
    enrolled = None if replace else store.issuer()
    if enrolled is not None:
        raise EnrolmentError(
            f"This reader is enrolled with {enrolled.issuer_id}. To enrol it anew, with a new identity and"
            " without that issuer, add --replace."
        )
    seed = store.candidate() if replace else store.seed()
    if seed is None:
        seed = random_bytes(SEED_SIZE)
        store.keep_seed(seed)
    return Candidate(code, SigningKey.from_seed(seed))


async def enrol(store: KeyStore, candidate: Candidate, tls: ssl.SSLContext | None = None) -> None:
    """Prove possession to the issuer, then pin it. Raises EnrolmentError. `tls` None: the system's trust."""
    code = candidate.code
    proof = base64.urlsafe_b64encode(candidate.proof()).decode("ascii").rstrip("=")
    url = code.issuer_url.rstrip("/") + "/v1/enrolments/reader"
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=False) as http,
            http.post(url, json={"proof": proof}, allow_redirects=False, ssl=tls or True) as answer,
        ):
            status, body = answer.status, await answer.content.read(_LONGEST_ANSWER)
    except aiohttp.ClientConnectorCertificateError:
        raise EnrolmentError(
            f"The certificate of {code.issuer_url} is not trusted here. If it is the issuer's own, add it"
            " with --ca-file."
        ) from None
    except TimeoutError:
        raise EnrolmentError(f"The issuer at {code.issuer_url} did not answer. Try again later.") from None
    except aiohttp.ClientError as problem:
        raise EnrolmentError(
            f"The issuer at {code.issuer_url} cannot be reached ({type(problem).__name__})."
            " Is it running, and is this machine on its network?"
        ) from None
    said = _answer(body)
    # Enrolled before, and the answer was lost on the way: the issuer has this very key, so all is well.
    known = status == 409 and said.get("code") == "reader_already_enrolled"
    if not known and (status != 201 or said.get("reader_id") != reader_id_text(candidate.reader_id)):
        raise EnrolmentError(_refused(status, said))
    pinned = PinnedIssuer(code.issuer_id, code.issuer_public_key, code.issuer_url)
    store.pin_issuer(pinned, candidate.key.public_key)


def _answer(body: bytes) -> dict[str, object]:
    """The JSON object in an answer, empty where there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _refused(status: int, said: dict[str, object]) -> str:
    """The issuer's problem+json in words; its text is a stranger's."""
    if status == 201:
        return "The answer is not that of an issuer. Check the address with whoever gave the code."
    detail = shown(str(said.get("detail") or said.get("title") or ""), 200)
    words = f": {detail}" if detail else "."
    return (
        f"The issuer refused the enrolment ({status}){words} A code works once and for 24 hours: ask for a"
        " new one if this one is used or old."
    )
