"""An issuer's side of a reader's enrolment, over real HTTP."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.identifiers import IssuerId, reader_id, reader_id_text
from protocol.messages import ReaderEnrolment
from protocol.signing import open_message
from reader_peripheral import enrolment
from reader_peripheral.adapters.key_store import FileKeyStore
from reader_peripheral.enrolment import prepare
from reader_peripheral.ports import PinnedIssuer
from tests.machines.reader_bench import ISSUER

SECRET = b"0123456789abcdef"
BANK = PinnedIssuer(IssuerId("bank"), ISSUER.public_key, "https://bank.example")


@dataclass
class Issuer:
    """The issuer's side of an enrolment; `answer` makes its answer from the verified proof."""

    server: TestServer
    proofs: list[ReaderEnrolment] = field(default_factory=list)
    answer: Callable[[ReaderEnrolment], web.StreamResponse] | None = None

    def code(self, kind: EnrolmentKind = EnrolmentKind.READER) -> EnrolmentCode:
        url = str(self.server.make_url(""))
        return EnrolmentCode(kind, url, IssuerId("test-bank"), ISSUER.public_key, SECRET)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        signed = base64.urlsafe_b64decode((await request.json())["proof"] + "==")
        claimed = ReaderEnrolment.decode(_payload(signed))
        proof = open_message(claimed.public_key, signed, ReaderEnrolment)
        self.proofs.append(proof)
        if self.answer:
            return self.answer(proof)
        return web.json_response({"reader_id": reader_id_text(reader_id(proof.public_key))}, status=201)


def _payload(signed: bytes) -> bytes:
    """What is inside a COSE_Sign1, as yet unverified: the key to verify with is in it."""
    import cbor2

    content: bytes = cbor2.loads(signed).value[2]
    return content


@asynccontextmanager
async def serving() -> AsyncIterator[Issuer]:
    """An issuer that listens."""
    app = web.Application()
    server = TestServer(app)
    issuer = Issuer(server)
    app.router.add_post("/v1/enrolments/reader", issuer.handle)
    await server.start_server()
    yield issuer
    await server.close()


def prepared(store: FileKeyStore, code: EnrolmentCode, **options: bool) -> enrolment.Candidate:
    chosen = {"replace": False, "unencrypted": False, **options}
    return prepare(store, code, os.urandom, **chosen)


def problem(status: int, **content: str) -> Callable[[ReaderEnrolment], web.Response]:
    body = json.dumps(content).encode()
    return lambda _: web.Response(status=status, body=body, content_type="application/problem+json")
