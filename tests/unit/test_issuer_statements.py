"""Statements: what went before, each entry, what is left; and no cell that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from datetime import UTC, date, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuer_server.cli import main
from issuer_server.ledger import LedgerError
from issuer_server.statements import AccountPeriod, Entry, Period, account_lines, decimal, guarded
from issuer_server.storage.sqlite import SqliteStorage, statements
from protocol.errors import InputError
from protocol.money import currency
from tests.contracts.world import START, World

YEN, DOLLAR, DINAR = currency("JPY"), currency("USD"), currency("KWD")
TOKYO = timezone(timedelta(hours=9))


def entry(seq: int, minor: int, **more: str) -> Entry:
    return Entry(
        seq, "payment", seq * 1000, f"pay_{seq}", None, more.get("who", ""), more.get("what", ""), minor
    )


@settings(max_examples=30)
@given(opening=st.integers(-(10**14), 10**14), amounts=st.lists(st.integers(-(10**12), 10**12), max_size=20))
def test_the_last_balance_is_the_first_and_all_entries(opening: int, amounts: list[int]) -> None:
    entries = [entry(number, amount) for number, amount in enumerate(amounts)]
    account = AccountPeriod(DOLLAR, opening, opening + sum(amounts))
    lines = list(account_lines(account, entries, Period()))
    assert lines[0][-1] == decimal(opening, 2)
    assert lines[-1][-1] == decimal(opening + sum(amounts), 2)
    assert [line[-2] for line in lines[1:-1]] == [decimal(amount, 2) for amount in amounts]
    with pytest.raises(LedgerError):
        list(account_lines(AccountPeriod(DOLLAR, opening, account.closing + 1), entries, Period()))


def test_amounts_are_numbers_that_a_program_reads() -> None:
    assert [decimal(-5, 2), decimal(123456789, 2), decimal(-7, 0), decimal(1, 3)] == [
        "-0.05",
        "1234567.89",
        "-7",
        "0.001",
    ]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "＋1", "－1", "＠1", "=HYPERLINK(0)"],
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert guarded(text) == "'" + text
    line = list(account_lines(AccountPeriod(YEN, 0, 1), [entry(1, 1, who=text, what=text)], Period()))[1]
    assert (line[5], line[6]) == ("'" + text, "'" + text)


@pytest.mark.parametrize("text", ["", "2 coffees", "3 = 3", "コーヒー 2杯", "a-b", "'quoted'"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text


def test_days_are_those_of_the_zone() -> None:
    day = Period(date(2026, 11, 1), date(2026, 11, 30), TOKYO)
    utc = Period(date(2026, 11, 1), date(2026, 11, 30), UTC)
    assert day.start_ms is not None
    assert utc.start_ms is not None
    assert utc.start_ms - day.start_ms == 9 * 3600 * 1000
    assert day.end_ms is not None
    assert day.end_ms - day.start_ms == 30 * 86_400_000
    assert day.shown(day.start_ms) == "2026-11-01T00:00:00+09:00"
    with pytest.raises(InputError):
        Period(date(2026, 12, 1), date(2026, 11, 30))


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """Three payments on three days and a refund of the second, in a data directory."""
    (tmp_path / "issuer.toml").write_text('issuer_id = "bank.test"\ndatabase = "issuer.db"\nkeys = "keys"\n')
    storage = await SqliteStorage.open(tmp_path / "issuer.db")
    world = World(storage)
    await world.populate()
    for _ in range(3):
        payment = await world.settled()
        world.now += 86_400
    await world.refund(payment, 200, "k")
    await storage.close()
    return world


def lines_of(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> list[dict[str, str]]:
    assert main(["statement", "--data", str(folder), *words]) == 0
    text = capsys.readouterr().out
    assert text.count("\r\n") == text.count("\n") > 0
    return list(csv.DictReader(io.StringIO(text, newline="")))


# The command runs an event loop of its own, so these tests have none: the world is made beforehand.
def test_a_cardholders_and_a_merchants_side(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = lines_of(capsys, tmp_path, "--owner", world.cardholder)
    kinds = ["opening balance", "funding", "payment", "payment", "payment", "refund", "closing balance"]
    assert [line["kind"] for line in theirs] == kinds
    assert theirs[0]["balance"] == "0"
    shop = lines_of(capsys, tmp_path, "--owner", world.merchant)
    assert [line["kind"] for line in shop] == [kind for kind in kinds if kind != "funding"]
    paid = [(line["payment"], int(line["amount"])) for line in shop if line["kind"] in ("payment", "refund")]
    assert paid == [
        (line["payment"], -int(line["amount"])) for line in theirs if line["kind"] in ("payment", "refund")
    ]
    with closing(sqlite3.connect(tmp_path / "issuer.db")) as database:
        balances = dict(database.execute("SELECT owner, balance FROM accounts"))
    assert int(theirs[-1]["balance"]) == balances[world.cardholder]
    assert int(shop[-1]["balance"]) == balances[world.merchant]


def test_one_day_of_it_opens_with_what_went_before(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = Period().shown(int((START + 86_400) * 1000))[:10]
    whole = lines_of(capsys, tmp_path, "--owner", world.merchant)
    day = lines_of(capsys, tmp_path, "--owner", world.merchant, "--from", second, "--to", second)
    assert [line["kind"] for line in day] == ["opening balance", "payment", "closing balance"]
    assert day[0]["balance"] == whole[1]["balance"]
    assert day[-1]["balance"] == whole[2]["balance"]
    assert (day[0]["date"], day[-1]["date"]) == (second, second)


def test_to_a_file_and_what_is_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "statement.csv"
    base = ["statement", "--data", str(tmp_path)]
    assert main([*base, "--owner", world.merchant, "--output", str(file), "--excel"]) == 0
    assert file.read_bytes().startswith(b"\xef\xbb\xbfdate,kind,entry")
    assert file.stat().st_mode & 0o077 == 0
    for words, said in (
        (["--owner", world.merchant, "--output", str(file)], "File exists"),
        (["--owner", "mer_nobody"], "no merchant or cardholder mer_nobody"),
        (["--owner", "mer_nobody", "--output", str(tmp_path / "new.csv")], "no merchant or cardholder"),
        (["--owner", world.merchant, "--from", "yesterday"], "write it as 2026-11-30"),
        (["--owner", world.merchant, "--time-zone", "Mars/Base"], "no time zone 'Mars/Base'"),
        (["--owner", world.merchant, "--from", "2026-02-02", "--to", "2026-02-01"], "--from is after --to"),
    ):
        assert main([*base, *words]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new.csv").exists()


def test_a_balance_that_is_not_the_sum_of_its_entries_gets_no_statement(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = sqlite3.connect(tmp_path / "issuer.db", isolation_level=None)
    connection.execute("DROP TRIGGER balance_moves_by_transfer")
    connection.execute("UPDATE accounts SET balance = balance + 1 WHERE kind = 'merchant'")
    connection.close()
    assert main(["statement", "--data", str(tmp_path), "--owner", world.merchant]) == 1
    captured = capsys.readouterr()
    assert "is not the sum of its entries" in captured.err
    assert captured.out == ""


def test_a_statement_reads_the_entries_of_its_account_alone(world: World, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "issuer.db")
    for query, values in ((statements._FOLD, (1, 0)), (statements._ENTRIES, (1, 0, 1, "merchant"))):
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
        assert not [step for step in plan if step.startswith("SCAN") and "CONSTANT" not in step], plan
        assert any("transfers_from_account" in step for step in plan)
        assert any("transfers_to_account" in step for step in plan)
    connection.close()
