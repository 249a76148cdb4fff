"""The handset's files: a credential nobody else can read, a history without secrets, outcomes that last."""

from __future__ import annotations

import json
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from handset_client.adapters.credential_file import FILE_NAME, CredentialFile, write_privately
from handset_client.adapters.history_file import LARGEST_HISTORY, MOST_OWED, OWED_FOR, HistoryFile
from handset_client.effects import End, Ending, KeptOutcome
from handset_client.issuer_frames import PaymentRequest
from handset_client.ports import Credential
from protocol.errors import InputError
from protocol.identifiers import HandsetId, IssuerId, PaymentId, PhoneNumber, ReaderId, mint
from protocol.money import Money, currency

READER = ReaderId(b"\x01" * 8)
TOKEN = "a-secret-token"
CREDENTIAL = Credential(
    "https://issuer.example",
    IssuerId("bank"),
    HandsetId(mint("hst", b"\x01" * 16)),
    PhoneNumber("+819012345678"),
    TOKEN,
)


def payment(number: int) -> PaymentId:
    return PaymentId(mint("pay", bytes([number]) * 16))


REQUEST = PaymentRequest(payment(1), "田中珈琲店", Money(1200, currency("JPY")), "2 coffees", 60.0)


def test_a_credential_is_kept_and_private(tmp_path: Path) -> None:
    store = CredentialFile(tmp_path / "new folder")
    assert store.load() is None
    store.save(CREDENTIAL)
    assert store.load() == CREDENTIAL
    assert stat.S_IMODE((tmp_path / "new folder" / FILE_NAME).stat().st_mode) == 0o600
    assert TOKEN not in repr(CREDENTIAL)


def test_a_credential_is_replaced_whole(tmp_path: Path) -> None:
    store = CredentialFile(tmp_path)
    store.save(CREDENTIAL)
    store.save(replace(CREDENTIAL, token="another"))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_forgetting_leaves_nothing_of_a_save_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """SIGKILL: nothing is tidied up after it."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as at_that_moment:
        at_that_moment.setattr("os.replace", killed)
        at_that_moment.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            CredentialFile(tmp_path).save(CREDENTIAL)
    [draft] = tmp_path.iterdir()
    assert TOKEN in draft.read_text()
    assert CredentialFile(tmp_path).forget() is None
    assert list(tmp_path.iterdir()) == []


def test_two_commands_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    with ThreadPoolExecutor(4) as writers:
        for written in [writers.submit(write_privately, path, str(number)) for number in range(100)]:
            written.result()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text().strip().isdigit()


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX modes")
def test_a_credential_others_can_read_is_refused(tmp_path: Path) -> None:
    store = CredentialFile(tmp_path)
    store.save(CREDENTIAL)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(InputError, match="chmod 600") as refused:
        store.load()
    assert refused.value.code == "credential_exposed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '"x"',
        '{"token": 5}',
        json.dumps({"token": "t\nX: y"}),
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_a_damaged_credential_says_what_to_do(tmp_path: Path, text: str | bytes) -> None:
    store = CredentialFile(tmp_path)
    store.save(CREDENTIAL)
    path = tmp_path / FILE_NAME
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="handset-client enrol"):
        store.load()


@pytest.mark.parametrize("field", ["issuer_url", "issuer_id", "handset_id", "phone", "token"])
def test_a_damaged_field_says_what_to_do_and_quotes_no_token(tmp_path: Path, field: str) -> None:
    store = CredentialFile(tmp_path)
    store.save(CREDENTIAL)
    path = tmp_path / FILE_NAME
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, field: None}))
    with pytest.raises(InputError, match="enrol") as refused:
        store.load()
    assert TOKEN not in str(refused.value)


async def test_ended_payments_are_lines_without_secrets(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.record(Ending(REQUEST, End.COMPLETED, None, "1234"), 1_800_000_000.0)
    await history.record(Ending(REQUEST, End.NOT_SETTLED, "declined"), 1_800_000_060.0)
    first, second = (json.loads(line) for line in (tmp_path / "payments.jsonl").read_text().splitlines())
    assert first == {
        "ended_at": "2027-01-15T08:00:00+00:00",
        "payment_id": payment(1),
        "merchant_name": "田中珈琲店",
        "amount_minor": 1200,
        "currency": "JPY",
        "order": "2 coffees",
        "outcome": "completed",
        "reason": None,
        "last_four": "1234",
    }
    assert second["reason"] == "declined"
    assert stat.S_IMODE((tmp_path / "payments.jsonl").stat().st_mode) == 0o600


async def test_a_long_history_loses_its_older_half(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    line = json.dumps({"filler": "x" * 1000})
    (tmp_path / "payments.jsonl").write_text((line + "\n") * (LARGEST_HISTORY // 1000))
    await history.record(Ending(REQUEST, End.COMPLETED), 1_800_000_000.0)
    lines = (tmp_path / "payments.jsonl").read_text().splitlines()
    assert len(lines) < LARGEST_HISTORY // 1000
    assert json.loads(lines[-1])["outcome"] == "completed"
    assert json.loads(lines[0]) == {"filler": "x" * 1000}


async def test_a_character_cut_in_half_does_not_stop_a_long_history(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    torn = "田".encode()[:2]
    (tmp_path / "payments.jsonl").write_bytes(b'{"filler": "x"}\n' * (LARGEST_HISTORY // 15) + torn + b"\n")
    await history.record(Ending(REQUEST, End.COMPLETED), 1_800_000_000.0)
    [past] = await history.past_payments()
    assert past.ending.end is End.COMPLETED


async def test_a_torn_last_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    (tmp_path / "payments.jsonl").write_bytes(b'{"merchant_name": "' + "田".encode()[:2])
    await history.record(Ending(REQUEST, End.UNKNOWN), 1_800_000_000.0)
    await history.record(other(2, End.COMPLETED), 1_800_000_060.0)
    assert await history.in_doubt() == [other_stored(1, End.UNKNOWN)]
    assert len((tmp_path / "payments.jsonl").read_bytes().splitlines()) == 3


async def test_owed_outcomes_outlive_the_program(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    assert await history.kept_outcomes(0) == []
    await history.keep_outcome(KeptOutcome(payment(1), READER), 100)
    await history.keep_outcome(KeptOutcome(payment(2), READER, b"\x00\xffsigned"), 101)
    await history.keep_outcome(KeptOutcome(payment(1), READER, b"signed too"), 102)
    again = HistoryFile(tmp_path)
    assert await again.kept_outcomes(200) == [
        KeptOutcome(payment(1), READER, b"signed too"),
        KeptOutcome(payment(2), READER, b"\x00\xffsigned"),
    ]
    await again.forget_outcome(payment(1))
    assert await HistoryFile(tmp_path).kept_outcomes(200) == [
        KeptOutcome(payment(2), READER, b"\x00\xffsigned")
    ]


async def test_what_is_a_week_old_is_let_go(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.keep_outcome(KeptOutcome(payment(1), READER), 100)
    assert await HistoryFile(tmp_path).kept_outcomes(100 + OWED_FOR) == []


async def test_owed_outcomes_do_not_grow_for_ever(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    for number in range(MOST_OWED + 5):
        await history.keep_outcome(KeptOutcome(payment(number), READER), 100)
    kept = await HistoryFile(tmp_path).kept_outcomes(100)
    assert [one.payment_id for one in kept] == [payment(number) for number in range(5, MOST_OWED + 5)]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"payment_id": "x"}]', '{"a": 1}', "[[]]"])
async def test_a_damaged_file_is_set_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "owed.json").write_text(text)
    history = HistoryFile(tmp_path)
    assert await history.kept_outcomes(0) == []
    assert (tmp_path / "owed.json.damaged").read_text() == text
    await history.keep_outcome(KeptOutcome(payment(1), READER), 0)
    assert len(await HistoryFile(tmp_path).kept_outcomes(0)) == 1


async def test_a_disk_that_takes_nothing_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        await HistoryFile(tmp_path / "file").keep_outcome(KeptOutcome(payment(1), READER), 0)


DOUBT = Ending(REQUEST, End.UNKNOWN)


def other(number: int, end: End) -> Ending:
    return Ending(replace(REQUEST, payment_id=payment(number)), end)


async def test_what_was_learned_later_holds_and_leaves_the_payment_at_its_time(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.record(DOUBT, 1_800_000_000.0)
    await history.record(other(2, End.SEE_READER), 1_800_000_100.0)
    await history.record(other(3, End.NOT_SETTLED), 1_800_000_200.0)
    assert await history.in_doubt() == [replace(DOUBT, request=stored(1)), other_stored(2, End.SEE_READER)]
    learned = Ending(REQUEST, End.COMPLETED, None, "1234")
    await history.amend(learned, 1_800_090_000.0)
    again = HistoryFile(tmp_path)
    assert await again.in_doubt() == [other_stored(2, End.SEE_READER)]
    past = await again.past_payments(5)
    assert [(each.payment_id, each.ended_at) for each in past] == [
        (payment(3), 1_800_000_200.0),
        (payment(2), 1_800_000_100.0),
        (payment(1), 1_800_000_000.0),
    ]
    assert past[-1].ending == replace(learned, request=stored(1))


async def test_a_payment_under_way_is_replaced_by_its_end(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.record(DOUBT, 1_800_000_000.0)
    await history.record(Ending(REQUEST, End.COMPLETED, None, "1234"), 1_800_000_030.0)
    [past] = await history.past_payments()
    assert (past.ending.end, past.ended_at) == (End.COMPLETED, 1_800_000_030.0)
    assert await history.in_doubt() == []


async def test_an_amendment_whose_payment_is_gone_from_the_file_still_counts(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.amend(Ending(REQUEST, End.NOT_SETTLED, "wrong_pin"), 1_800_000_000.0)
    file = tmp_path / "payments.jsonl"
    file.write_text(file.read_text() + '{"cut short')
    [past] = await history.past_payments()
    assert (past.ending.reason, past.ended_at) == ("wrong_pin", 1_800_000_000.0)


def stored(number: int) -> PaymentRequest:
    """As it comes back from the file, where no countdown is kept."""
    return replace(REQUEST, payment_id=payment(number), approve_within=0.0)


def other_stored(number: int, end: End) -> Ending:
    return Ending(stored(number), end)


async def test_the_reader_that_a_reason_is_about_is_kept(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    await history.record(Ending(REQUEST, End.NOT_SETTLED, "reader_unknown", None, READER), 1_800_000_000.0)
    [past] = await history.past_payments()
    assert past.ending.reader_id == READER
    file = tmp_path / "payments.jsonl"
    for wrong in ("nonsense", 7, {}):
        file.write_text(json.dumps({**json.loads(file.read_text()), "reader": wrong}))
        assert await history.past_payments() == []
