"""Records what the formal models are models of: `python -m tools.modelled_messages --record`.

docs/formal/modelled.json holds every field of every message, what a signature and a seal are bound to, the
hash of wire.cddl without its comments, and the hash of each model. A test compares it with the code, so that
nobody changes a message and still says that it was proved.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol import messages, sealing, signing
from protocol.wire_message import PROTOCOL_VERSION, Message, _fields

FORMAL = Path(__file__).parent.parent / "docs" / "formal"
RECORD = FORMAL / "modelled.json"
_CDDL = Path(messages.__file__).parent / "wire.cddl"


def message_classes() -> list[type[Message]]:
    """All that protocol/messages.py defines, in the order of their types."""
    ours = (each for each in Message.__subclasses__() if each.__module__ == messages.__name__)
    return sorted(ours, key=lambda each: int(each.TYPE))


def modelled() -> dict[str, Any]:
    """Everything that the models speak of, as it is now."""
    classes = message_classes()
    bound = (sealing.card_info, sealing.pin_info, sealing._binding)
    return {
        "protocol version": PROTOCOL_VERSION,
        "messages": {each.__name__: _described(each) for each in classes},
        "signed": {
            "external_aad": signing.EXTERNAL_AAD.decode(),
            "H(x)": _hash(_code(signing.digest)),
        },
        "sealed to": {each.__name__: _hash(_code(each)) for each in bound},
        "wire.cddl": _hash(re.sub(r"\s*;.*", "", _CDDL.read_text(encoding="utf-8"))),
        "models": {
            each.name: _hash(each.read_text(encoding="utf-8")) for each in sorted(FORMAL.glob("*.pv"))
        },
    }


def recorded() -> dict[str, Any]:
    """The same as it was when somebody last said that the models fit."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def _described(message: type[Message]) -> list[str]:
    fields = []
    for field in sorted(_fields(message), key=lambda field: field.key):
        note = "" if field.required else ", may be left out"
        fields.append(f"{field.key} {field.name}: {type(field.kind).__name__}{note}")
    return [f"0 type: {int(message.TYPE)}", *fields]


def _code(function: Callable[..., object]) -> str:
    """What a function does, without the words about it."""
    tree = ast.parse(inspect.getsource(function))
    body = tree.body[0]
    assert isinstance(body, ast.FunctionDef)
    if ast.get_docstring(body) is not None:
        del body.body[0]
    return ast.unparse(tree)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(description="What the formal models are models of.")
    parser.add_argument("--record", action="store_true", help="write docs/formal/modelled.json anew")
    now = modelled()
    if parser.parse_args().record:
        RECORD.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return 0
    return 0 if now == recorded() else 1


if __name__ == "__main__":
    sys.exit(main())
