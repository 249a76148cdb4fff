"""How a command ends: its exit status, and what is said where it was not done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from merchant_terminal.errors import IssuerError, NeverSentError, ProblemError
from merchant_terminal.sentences import problem_sentence
from protocol.errors import InputError


class Exit(IntEnum):
    """Exit statuses, the same for every command."""

    COMPLETED = 0
    NOT_SETTLED = 1
    BAD_INPUT = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """`outcome` and `code` are for scripts; `message` tells people what is sure of the money, what to do."""

    status: Exit
    outcome: str
    code: str
    message: str


def failure_of(command: str, error: InputError | IssuerError) -> Failure:
    """What a command that raised `error` says."""
    match error:
        case InputError():
            return Failure(Exit.BAD_INPUT, "refused", error.code, str(error))
        case ProblemError():
            request = f" (request {error.request_id})" if error.request_id else ""
            sentence = problem_sentence(error.code, error.detail) + request
            return Failure(Exit.BAD_INPUT, "refused", error.code, sentence)
        case NeverSentError():
            outcome, nothing = (
                ("not_charged", "Nothing was charged.")
                if command == "charge"
                else ("not_refunded", "Nothing was given back.")
            )
            then = "Try again later." if error.busy else "Is this machine online, and the address right?"
            message = f"{_sentence(error)} {nothing} {then}"
            return Failure(Exit.UNKNOWN, outcome, "issuer_unreachable", message)
        case _:
            return Failure(Exit.UNKNOWN, "unknown", "issuer_unreachable", _outcome_unknown(command, error))


def interrupted(command: str) -> Failure:
    """Ctrl-C, and the person did not wait for the answer."""
    message = _outcome_unknown(command, "you left before the answer")
    return Failure(Exit.UNKNOWN, "unknown", "interrupted", message)


def _sentence(why: object) -> str:
    text = str(why)
    return f"{text[:1].upper()}{text[1:]}."


def _outcome_unknown(command: str, why: object) -> str:
    sentence = _sentence(why)
    if command == "charge":
        return (
            f"{sentence}\nWhether the customer was charged is NOT KNOWN. Give the same command again: it "
            "asks about this very payment and does not charge twice. Or look with `merchant-terminal list`."
        )
    if command == "refund":
        return (
            f"{sentence}\nWhether the money was given back is NOT KNOWN. Give the same command again: it "
            "asks about this very refund and does not refund twice."
        )
    if command == "login":
        return f"{sentence} Nothing was saved: try again when the issuer can be reached."
    return f"{sentence} Try again in a moment."
