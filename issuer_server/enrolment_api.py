"""Enrolment over HTTP: a phone trades its one-time code for a token, a reader proves that it has its key."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from aiohttp import web

from issuer_server.enrolments import TOKEN_SIZE, enrol_handset, enrol_reader
from issuer_server.parts import IssuerParts
from issuer_server.payment_fields import json_object, only_fields, text_field
from issuer_server.problems import Problem
from issuer_server.storage.port import EnrolmentRefused, EnrolmentStore
from protocol.errors import InputError
from protocol.identifiers import ENTROPY_SIZE, reader_id_text
from protocol.messages import CHALLENGE_SIZE

_LONGEST_PROOF: Final = 1024
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_STATUS_OF_REFUSALS: Final = {
    "enrolment_code_unknown": 404,
    "enrolment_code_used": 409,
    "enrolment_code_expired": 410,
    "reader_already_enrolled": 409,
}


class EnrolmentApi:
    """The two handlers; they need no credential but the one-time code."""

    def __init__(self, parts: IssuerParts, store: EnrolmentStore) -> None:
        self._parts = parts
        self._store = store

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/enrolments/handset", self.handset)
        app.router.add_post("/v1/enrolments/reader", self.reader)

    async def handset(self, request: web.Request) -> web.Response:
        """`{secret}` → 201 `{handset_id, token, phone}`; the token is shown this once."""
        try:
            fields = await json_object(request)
            only_fields(fields, ("secret",))
            secret = _octets(text_field(fields, "secret"), "secret", CHALLENGE_SIZE)
            enrolled = await enrol_handset(
                self._store,
                secret,
                self._parts.entropy(ENTROPY_SIZE),
                self._parts.entropy(TOKEN_SIZE),
                self._parts.clock(),
            )
        except InputError as error:
            raise _problem(error) from None
        return web.json_response(
            {"handset_id": enrolled.id, "token": enrolled.token, "phone": enrolled.phone}, status=201
        )

    async def reader(self, request: web.Request) -> web.Response:
        """`{proof}`, a signed ReaderEnrolment → 201 `{reader_id}`."""
        try:
            fields = await json_object(request)
            only_fields(fields, ("proof",))
            proof = _octets(text_field(fields, "proof"), "proof", None)
            reader = await enrol_reader(self._store, self._parts.issuer_id, proof, self._parts.clock())
        except InputError as error:
            raise _problem(error) from None
        return web.json_response({"reader_id": reader_id_text(reader.id)}, status=201)


def _problem(error: InputError) -> Problem:
    status = _STATUS_OF_REFUSALS.get(error.code, 422) if isinstance(error, EnrolmentRefused) else 422
    return Problem(status, error.code, str(error))


def _octets(text: str, name: str, size: int | None) -> bytes:
    try:
        if not _BASE64URL.fullmatch(text) or len(text) > _LONGEST_PROOF * 2:
            raise binascii.Error
        text = text.rstrip("=")
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise InputError(f"invalid_{name}", f"The field {name} must be base64url.") from None
    if len(value) > _LONGEST_PROOF or (size is not None and len(value) != size):
        raise InputError(f"invalid_{name}", f"The field {name} is of the wrong length: copy the code whole.")
    return value
