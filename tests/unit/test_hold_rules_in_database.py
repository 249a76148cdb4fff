"""What the database itself refuses of holds, by raw SQL: no code of ours stands in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer_server.storage.migrations import migrations
from issuer_server.storage.sqlite.connection import connect, migrate

HOLD = "INSERT INTO holds (payment_id, account_id, amount, created_ms) VALUES (?, ?, ?, 1)"
END = "UPDATE payments SET state = 'not_settled', reason = 'declined' WHERE id = ?"
CARDHOLDER, MERCHANT, CARDHOLDER_USD, OTHER = 2, 3, 4, 5


def transfer(
    connection: sqlite3.Connection, payment: str | None, debit: int, credit: int, amount: int
) -> None:
    kind = "funding" if payment is None else "payment"
    connection.execute(
        "INSERT INTO transfers"
        " (kind, payment_id, debit_account, credit_account, currency, amount, created_ms)"
        " VALUES (?, ?, ?, ?, 'JPY', ?, 1)",
        (kind, payment, debit, credit, amount),
    )


def set_up(connection: sqlite3.Connection) -> None:
    """1,000 yen with the cardholder, two payments of 600 in flight."""
    run = connection.execute
    run("INSERT INTO merchants (id, name, key_digest, created_ms) VALUES ('mer', 'Cafe', zeroblob(32), 1)")
    for name, phone in (("chd", "+811"), ("chd2", "+812")):
        run("INSERT INTO cardholders (id, name, phone, created_ms) VALUES (?, 'Hanako', ?, 1)", (name, phone))
    for owner, kind, currency in (
        ("issuer", "funding", "JPY"),
        ("chd", "cardholder", "JPY"),
        ("mer", "merchant", "JPY"),
        ("chd", "cardholder", "USD"),
        ("chd2", "cardholder", "JPY"),
    ):
        run("INSERT INTO accounts (owner, kind, currency) VALUES (?, ?, ?)", (owner, kind, currency))
    transfer(connection, None, 1, CARDHOLDER, 1000)
    transfer(connection, None, 1, OTHER, 1000)
    for payment in ("pay", "pay2"):
        run(
            "INSERT INTO payments (id, merchant_id, merchant_name, cardholder_id, phone, amount, currency,"
            " description, state, idempotency_key, payload_digest, created_ms, updated_ms)"
            " VALUES (?1, 'mer', 'Cafe', 'chd', '+81', 600, 'JPY', 'tea', 'requested', ?1, zeroblob(32),"
            " 1, 1)",
            (payment,),
        )


@pytest.fixture
def books(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "db")
    migrate(connection, migrations("sqlite"))
    set_up(connection)
    yield connection
    assert (
        standing(connection)
        == connection.execute(
            "SELECT balance, (SELECT coalesce(sum(amount), 0) FROM holds WHERE account_id = accounts.id)"
            " FROM accounts WHERE id = ?",
            (CARDHOLDER,),
        ).fetchone()
    ), "whatever was tried, what is held is the sum of the holds"
    connection.close()


def standing(connection: sqlite3.Connection) -> tuple[int, int]:
    row: tuple[int, int] = connection.execute(
        "SELECT balance, held FROM accounts WHERE id = ?", (CARDHOLDER,)
    ).fetchone()
    return row


def test_a_hold_is_counted_and_goes_with_its_transfer(books: sqlite3.Connection) -> None:
    books.execute(HOLD, ("pay", CARDHOLDER, 600))
    assert standing(books) == (1000, 600)
    transfer(books, "pay", CARDHOLDER, MERCHANT, 600)
    assert standing(books) == (400, 0)


def test_a_hold_goes_with_an_end_that_moves_no_money(books: sqlite3.Connection) -> None:
    books.execute(HOLD, ("pay", CARDHOLDER, 600))
    books.execute(END, ("pay",))
    assert standing(books) == (1000, 0)


def test_two_payments_cannot_hold_one_balance(books: sqlite3.Connection) -> None:
    books.execute(HOLD, ("pay", CARDHOLDER, 600))
    with pytest.raises(sqlite3.IntegrityError, match="held_above_balance"):
        books.execute(HOLD, ("pay2", CARDHOLDER, 600))


def test_what_one_payment_holds_another_cannot_take(books: sqlite3.Connection) -> None:
    books.execute(HOLD, ("pay", CARDHOLDER, 600))
    with pytest.raises(sqlite3.IntegrityError, match="held_above_balance"):
        transfer(books, "pay2", CARDHOLDER, MERCHANT, 600)
    transfer(books, "pay", CARDHOLDER, MERCHANT, 600)


@pytest.mark.parametrize(
    "wrong",
    [
        ("pay", CARDHOLDER, 599),
        ("pay", CARDHOLDER, 601),
        ("pay", OTHER, 600),
        ("pay", MERCHANT, 600),
        ("pay", CARDHOLDER_USD, 600),
        ("nobody's", CARDHOLDER, 600),
        ("pay", 99, 600),
    ],
)
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"])
def test_a_hold_is_of_its_payments_amount_account_and_currency(
    books: sqlite3.Connection, verb: str, wrong: tuple[str, int, int]
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(HOLD.replace("INSERT", verb, 1), wrong)


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"])
def test_a_payment_holds_once(books: sqlite3.Connection, verb: str) -> None:
    books.execute(HOLD, ("pay", CARDHOLDER, 600))
    with pytest.raises(sqlite3.IntegrityError, match="made once"):
        books.execute(HOLD.replace("INSERT", verb, 1), ("pay", CARDHOLDER, 600))


def test_an_ended_payment_holds_nothing(books: sqlite3.Connection) -> None:
    books.execute(END, ("pay",))
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(HOLD, ("pay", CARDHOLDER, 600))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM holds",
        "UPDATE holds SET amount = 1",
        "UPDATE holds SET payment_id = 'pay2'",
        "UPDATE accounts SET held = 0",
        f"UPDATE accounts SET held = 1000 WHERE id = {CARDHOLDER}",
        f"UPDATE accounts SET held = -1 WHERE id = {OTHER}",
        "INSERT INTO accounts (owner, kind, currency, held) VALUES ('chd', 'cardholder', 'EUR', 1)",
    ],
)
def test_a_hold_cannot_be_rewritten_or_let_go_early(books: sqlite3.Connection, statement: str) -> None:
    books.execute(HOLD, ("pay", CARDHOLDER, 600))
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(statement)
    assert standing(books) == (1000, 600)


def test_books_kept_before_there_were_holds_go_on(tmp_path: Path) -> None:
    steps = migrations("sqlite")
    first = next(step.number for step in steps if "_holds" in step.name)
    connection = connect(tmp_path / "db")
    migrate(connection, steps[: first - 1])
    set_up(connection)
    transfer(connection, "pay", CARDHOLDER, MERCHANT, 600)
    connection.execute("UPDATE payments SET state = 'completed' WHERE id = 'pay'")
    triggers = {
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    }
    migrate(connection, steps)
    assert triggers < {
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    }
    assert standing(connection) == (400, 0)
    connection.execute(END, ("pay2",))  # was in flight at the upgrade: the sweep ends it, hold or no hold
    connection.close()
