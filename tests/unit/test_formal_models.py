"""The formal models are of the messages that are on the wire: nobody changes one without the other."""

from __future__ import annotations

from protocol.messages import MessageType
from tools.modelled_messages import FORMAL, message_classes, modelled, recorded

WHAT_TO_DO = "compare with the models, then see docs/formal/README.md, 'Which messages were modelled'"


def test_every_message_is_as_it_was_when_it_was_modelled() -> None:
    now, then = modelled()["messages"], recorded()["messages"]
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    assert not changed, f"{', '.join(changed)} changed since the models were compared: {WHAT_TO_DO}"


def test_what_signatures_and_seals_are_bound_to_is_as_it_was() -> None:
    now, then = modelled(), recorded()
    for part in ("protocol version", "signed", "sealed to", "wire.cddl"):
        assert now[part] == then[part], f"{part} changed since the models were compared: {WHAT_TO_DO}"


def test_the_models_are_those_whose_results_are_written_down() -> None:
    now, then = modelled()["models"], recorded()["models"]
    assert now == then, "a model changed: run ProVerif, write date and result into docs/formal/README.md"
    told = (FORMAL / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in told for name in now)


def test_no_message_is_left_out() -> None:
    assert {each.TYPE for each in message_classes()} == set(MessageType)
