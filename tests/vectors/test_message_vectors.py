"""Our own vectors: the inputs still give the bytes on file, the schema agrees, what must be refused is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest

from protocol import messages
from protocol.enrolment import EnrolmentCode
from protocol.errors import MessageError
from protocol.messages import Message, NotSettled, RefusalReason
from protocol.sealing import PaymentKey, unpad_pin
from protocol.signing import SigningKey, digest, open_message
from protocol.track_data import parse_swipe
from tests.vectors import message_vectors

VECTORS: dict[str, Any] = json.loads(message_vectors.VECTORS.read_text("utf-8"))
CDDL = (Path(messages.__file__).parent / "wire.cddl").read_text("utf-8")
SIGNED = [vector for vector in VECTORS["messages"] if "signed" in vector]


def _schema(rule: str) -> pycddl.Schema:
    """The schema with `rule` as its root.

    pycddl 0.6.4 loses its way in a choice of many maps and does not look into byte strings in an array. So
    a message is checked by the rule of its own class, and what a signed one wraps (`.cbor`) on its own.
    """
    return pycddl.Schema(f"start = {rule}\n" + re.sub(r"bstr \.cbor [a-z-]+", "bstr", CDDL))


def _name(vector: dict[str, Any]) -> str:
    return str(vector.get("why", vector["class"]))


def _rule(vector: dict[str, Any]) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"-\1", vector["class"]).lower()


def _class(vector: dict[str, Any]) -> type[Message]:
    found: type[Message] = getattr(messages, vector["class"])
    return found


def test_the_inputs_still_give_the_bytes_on_file() -> None:
    sealed = VECTORS["sealed"]
    built = message_vectors.build(*(bytes.fromhex(sealed[kind]["sealed"]) for kind in ("card", "pin")))
    assert json.loads(json.dumps(built)) == VECTORS


def test_the_keys_come_from_their_seeds() -> None:
    for party in ("issuer", "reader"):
        key = SigningKey.from_seed(bytes.fromhex(VECTORS["keys"][party]["seed"]))
        assert key.public_key.hex() == VECTORS["keys"][party]["public_key"]
        assert key.key_id.hex() == VECTORS["keys"][party]["key_id"]


def test_the_sealed_envelopes_open() -> None:
    key = PaymentKey.from_seed(bytes.fromhex(VECTORS["keys"]["payment"]["seed"]))
    assert key.public_key.hex() == VECTORS["keys"]["payment"]["public_key"]
    card, pin = (
        {name: bytes.fromhex(value) for name, value in VECTORS["sealed"][kind].items()}
        for kind in ("card", "pin")
    )
    plaintexts = VECTORS["plaintexts"]
    assert key.open_card(card["sealed"], card["info"]).hex() == plaintexts["card"]
    assert unpad_pin(key.open_pin(pin["sealed"], pin["info"])).decode() == plaintexts["pin_digits"]
    assert parse_swipe(bytearray(plaintexts["swipe"].encode())).card_plaintext().hex() == plaintexts["card"]


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=_name)
def test_each_message_decodes_to_the_fields_on_file(vector: dict[str, Any]) -> None:
    message = _class(vector).decode(bytes.fromhex(vector["encoded"]))
    for name, value in vector["fields"].items():
        assert message_vectors.plain(getattr(message, name)) == value


@pytest.mark.parametrize("vector", SIGNED, ids=_name)
def test_each_signature_verifies(vector: dict[str, Any]) -> None:
    signed = bytes.fromhex(vector["signed"])
    key = SigningKey.from_seed(bytes.fromhex(VECTORS["keys"][vector["signer"]]["seed"]))
    assert open_message(key.public_key, signed, _class(vector)).encode().hex() == vector["encoded"]
    assert digest(signed).hex() == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=_name)
def test_what_must_be_refused_is(vector: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        _class(vector).decode(bytes.fromhex(vector["encoded"]))


def test_enrolment_codes_read_back() -> None:
    for text in VECTORS["enrolment_codes"]:
        assert EnrolmentCode.parse(text).text() == text


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=_name)
def test_the_schema_takes_every_message(vector: dict[str, Any]) -> None:
    _schema(_rule(vector)).validate_cbor(bytes.fromhex(vector["encoded"]))


@pytest.mark.parametrize("vector", SIGNED, ids=_name)
def test_the_schema_takes_every_signed_message_layer_by_layer(vector: dict[str, Any]) -> None:
    signed = bytes.fromhex(vector["signed"])
    protected, _, payload, _ = cbor2.loads(signed).value
    _schema("signed-message").validate_cbor(signed)
    _schema("protected-header").validate_cbor(protected)
    _schema(_rule(vector)).validate_cbor(payload)


# What CDDL has no word for, and a text of the right length, which pycddl takes for bytes.
BEYOND_THE_SCHEMA = {
    "trailing byte",
    "version 1 in two bytes",
    "indefinite length",
    "keys out of order",
    "key twice",
    "tagged",
    "digest as text",
}


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=_name)
def test_the_schema_refuses_what_it_can(vector: dict[str, Any]) -> None:
    if vector["why"] not in BEYOND_THE_SCHEMA:
        with pytest.raises(pycddl.ValidationError):
            _schema(_rule(vector)).validate_cbor(bytes.fromhex(vector["encoded"]))


def test_the_schema_lists_every_message() -> None:
    body = re.search(r"^message = (.*)$", CDDL, re.MULTILINE)
    assert body is not None
    listed = {
        cls.__name__: re.sub(r"(?<!^)([A-Z])", r"-\1", cls.__name__).lower()
        for cls in Message.__subclasses__()
    }
    assert set(body[1].split(" / ")) == set(listed.values())
    assert set(listed) == {vector["class"] for vector in VECTORS["messages"]}


def test_the_schema_lists_every_reason() -> None:
    for rule, reasons in (("refusal-reason", RefusalReason), ("not-settled-reason", NotSettled)):
        body = re.search(rf"^{rule} = (.*?)\n\n", CDDL, re.MULTILINE | re.DOTALL)
        assert body is not None
        assert re.findall(r'"([a-z_]+)"', body[1]) == [reason.value for reason in reasons]
