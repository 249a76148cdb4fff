"""What the database itself refuses, by raw SQL: no code of ours stands in between."""

from __future__ import annotations

import os
import sqlite3

import pytest

from issuer_server.payment import PaymentState
from issuer_server.storage.migrations import migrations
from issuer_server.storage.sqlite.connection import connect, migrate

PAYMENT = (
    "INSERT INTO payments (id, merchant_id, merchant_name, cardholder_id, phone, amount, currency,"
    " description, state, idempotency_key, payload_digest, created_ms, updated_ms)"
    " VALUES (:id, 'mer', 'Cafe', 'chd', '+81', :amount, 'JPY', 'tea', :state, :id, zeroblob(32), 1, 1)"
)
TRANSFER = (
    "INSERT INTO transfers"
    " (kind, payment_id, refund_id, debit_account, credit_account, currency, amount, created_ms)"
    " VALUES (:kind, :payment, :refund, :debit, :credit, :currency, :amount, 1)"
)
REFUND = (
    "INSERT INTO refunds (id, payment_id, merchant_id, amount, idempotency_key, payload_digest, created_ms)"
    " VALUES (:id, :payment, :merchant, :amount, :id, zeroblob(32), 1)"
)
FUNDING, CARDHOLDER, MERCHANT, CARDHOLDER_USD, OTHER_MERCHANT = 1, 2, 3, 4, 5


@pytest.fixture
def books(tmp_path):
    """Accounts of everybody, 1,000 yen with the cardholder, one payment of 300 in flight."""
    connection = connect(tmp_path / "db")
    migrate(connection, migrations("sqlite"))
    run = connection.execute
    run(
        "INSERT INTO merchants (id, name, key_digest, created_ms) VALUES ('mer', 'Cafe', ?, 1)",
        (os.urandom(32),),
    )
    run("INSERT INTO cardholders (id, name, phone, created_ms) VALUES ('chd', 'Hanako', '+811234567', 1)")
    for owner, kind, currency in (
        ("issuer", "funding", "JPY"),
        ("chd", "cardholder", "JPY"),
        ("mer", "merchant", "JPY"),
        ("chd", "cardholder", "USD"),
        ("mer2", "merchant", "JPY"),
    ):
        run("INSERT INTO accounts (owner, kind, currency) VALUES (?, ?, ?)", (owner, kind, currency))
    run(TRANSFER, transfer(kind="funding", payment=None, debit=FUNDING, credit=CARDHOLDER, amount=1000))
    run(PAYMENT, {"id": "pay", "amount": 300, "state": "requested"})
    yield connection
    totals = run("SELECT currency, sum(balance) FROM accounts GROUP BY currency").fetchall()
    assert all(total == 0 for _, total in totals), "whatever was tried, the books balance"
    connection.close()


def transfer(**changes):
    values = {
        "kind": "payment",
        "payment": "pay",
        "refund": None,
        "debit": CARDHOLDER,
        "credit": MERCHANT,
        "currency": "JPY",
        "amount": 300,
    }
    return values | changes


def balances(connection):
    return dict(connection.execute("SELECT id, balance FROM accounts"))


def test_a_transfer_moves_both_balances_by_the_same(books):
    books.execute(TRANSFER, transfer())
    found = balances(books)
    assert (found[FUNDING], found[CARDHOLDER], found[MERCHANT]) == (-1000, 700, 300)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 299},
        {"amount": 0},
        {"amount": -300},
        {"amount": 300.5},
        {"amount": "300 yen"},
        {"amount": None},
        {"credit": CARDHOLDER},
        {"debit": MERCHANT, "credit": CARDHOLDER},
        {"credit": OTHER_MERCHANT},
        {"debit": FUNDING},
        {"debit": CARDHOLDER_USD},
        {"currency": "USD"},
        {"debit": 99},
        {"credit": 99},
        {"payment": None},
        {"payment": "another"},
        {"kind": "gift"},
        {"kind": "refund"},
        {"refund": "ref"},
        {"kind": "funding"},
        {"kind": "funding", "payment": None},
        {"kind": "funding", "payment": None, "debit": FUNDING, "credit": MERCHANT},
        {"kind": "funding", "payment": None, "debit": FUNDING, "credit": CARDHOLDER_USD},
    ],
    ids=str,
)
def test_a_transfer_that_is_not_its_payments_is_refused(books, changes):
    before = balances(books)
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(TRANSFER, transfer(**changes))
    assert balances(books) == before


def test_a_second_transfer_for_a_payment_is_refused(books):
    books.execute(TRANSFER, transfer())
    for statement in (TRANSFER, TRANSFER.replace("INSERT", "INSERT OR REPLACE")):
        with pytest.raises(sqlite3.IntegrityError):
            books.execute(statement, transfer())
    assert balances(books)[MERCHANT] == 300


def test_an_ended_payment_takes_no_transfer(books):
    books.execute("UPDATE payments SET state = 'not_settled', reason = 'declined' WHERE id = 'pay'")
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(TRANSFER, transfer())


def test_a_cardholder_cannot_go_below_zero(books):
    books.execute(PAYMENT, {"id": "big", "amount": 1001, "state": "requested"})
    with pytest.raises(sqlite3.IntegrityError, match=r"balance_below_zero|held_above_balance"):
        books.execute(TRANSFER, transfer(payment="big", amount=1001))
    assert balances(books)[CARDHOLDER] == 1000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfers SET amount = 1",
        "UPDATE transfers SET created_ms = 2",
        "UPDATE OR REPLACE transfers SET seq = 2 WHERE seq = 1",
        "DELETE FROM transfers",
        "REPLACE INTO transfers (seq, kind, debit_account, credit_account, currency, amount, created_ms)"
        " VALUES (1, 'funding', 1, 2, 'JPY', 5, 1)",
        "UPDATE accounts SET balance = balance + 1 WHERE id = 2",
        "UPDATE accounts SET balance = 2000, last_transfer = 1 WHERE id = 2",
        "UPDATE accounts SET balance = 2000, last_transfer = 2 WHERE id = 2",
        "UPDATE accounts SET last_transfer = 0",
        "UPDATE accounts SET owner = 'me' WHERE id = 3",
        "UPDATE accounts SET kind = 'funding' WHERE id = 2",
        "UPDATE accounts SET currency = 'USD' WHERE id = 2",
        "DELETE FROM accounts",
        "DELETE FROM accounts WHERE id = 4",
        "INSERT INTO accounts (owner, kind, currency, balance) VALUES ('me', 'merchant', 'JPY', 5)",
        "INSERT INTO accounts (owner, kind, currency, last_transfer) VALUES ('me', 'merchant', 'JPY', 5)",
        "REPLACE INTO accounts (id, owner, kind, currency) VALUES (2, 'chd', 'cardholder', 'JPY')",
        "REPLACE INTO accounts (owner, kind, currency) VALUES ('chd', 'cardholder', 'USD')",
        "UPDATE payments SET state = 'completed' WHERE id = 'pay'",
        "UPDATE payments SET amount = 1 WHERE id = 'pay'",
        "UPDATE payments SET merchant_id = 'mer2' WHERE id = 'pay'",
        "UPDATE payments SET merchant_name = 'Bank' WHERE id = 'pay'",
        "UPDATE payments SET state = 'paid' WHERE id = 'pay'",
        "UPDATE payments SET state = 'not_settled' WHERE id = 'pay'",
        "UPDATE payments SET reason = 'declined' WHERE id = 'pay'",
        "DELETE FROM payments",
    ],
)
def test_history_cannot_be_rewritten(books, statement):
    before = (
        books.execute("SELECT * FROM transfers").fetchall(),
        books.execute("SELECT * FROM accounts").fetchall(),
    )
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(statement)
    after = (
        books.execute("SELECT * FROM transfers").fetchall(),
        books.execute("SELECT * FROM accounts").fetchall(),
    )
    assert after == before


def test_a_payment_begins_as_requested_and_is_created_once(books):
    for values in (
        {"id": "new", "amount": 1, "state": "calling"},
        {"id": "new", "amount": 0, "state": "requested"},
        {"id": "new", "amount": 1_000_000_000_000, "state": "requested"},
        {"id": "pay", "amount": 1, "state": "requested"},
    ):
        for statement in (PAYMENT, PAYMENT.replace("INSERT", "REPLACE", 1)):
            with pytest.raises(sqlite3.IntegrityError):
                books.execute(statement, values)


def test_a_transferred_payment_can_only_be_completed(books):
    books.execute(TRANSFER, transfer())
    with pytest.raises(sqlite3.IntegrityError):
        books.execute("UPDATE payments SET state = 'not_settled', reason = 'declined' WHERE id = 'pay'")
    books.execute("UPDATE payments SET state = 'completed' WHERE id = 'pay'")
    for state in ("calling", "not_settled", "completed"):
        with pytest.raises(sqlite3.IntegrityError):
            books.execute("UPDATE payments SET state = ? WHERE id = 'pay'", (state,))


def test_the_schema_knows_exactly_the_states_of_the_machine(books):
    accepted = {"not_settled", "completed", "requested"}
    for state in PaymentState:
        if state not in accepted:
            books.execute("UPDATE payments SET state = ? WHERE id = 'pay'", (state.value,))
    (sql,) = books.execute("SELECT sql FROM sqlite_master WHERE name = 'payments'").fetchone()
    listed = sql[sql.index("state IN (") :].partition(")")[0]
    assert listed.count("'") == 2 * len(PaymentState)


def test_an_enrolment_code_is_used_once(books):
    books.execute(
        "INSERT INTO enrolment_codes (secret_digest, kind, cardholder_id, expires_ms)"
        " VALUES (zeroblob(32), 'reader', 'chd', 10)"
    )
    books.execute("UPDATE enrolment_codes SET used_ms = 5")
    with pytest.raises(sqlite3.IntegrityError):
        books.execute("UPDATE enrolment_codes SET used_ms = NULL")


@pytest.fixture
def paid(books):
    """The payment of 300 is completed, and 100 of it given back."""
    books.execute(TRANSFER, transfer())
    books.execute("UPDATE payments SET state = 'completed' WHERE id = 'pay'")
    give_back(books, "first", 100)
    return books


def refund(**changes):
    return {"id": "ref", "payment": "pay", "merchant": "mer", "amount": 100} | changes


def back(**changes):
    return transfer(kind="refund", refund="ref", debit=MERCHANT, credit=CARDHOLDER, amount=100) | changes


def give_back(books, name, amount):
    books.execute("BEGIN")
    try:
        books.execute(REFUND, refund(id=name, amount=amount))
        books.execute(TRANSFER, back(refund=name, amount=amount))
        books.execute("COMMIT")
    finally:
        if books.in_transaction:
            books.execute("ROLLBACK")


def test_a_refund_moves_money_back_and_is_counted(paid):
    assert balances(paid)[CARDHOLDER] == 800
    assert balances(paid)[MERCHANT] == 200
    assert paid.execute("SELECT refunded FROM payments").fetchone() == (100,)
    give_back(paid, "rest", 200)
    assert balances(paid)[MERCHANT] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 201},
        {"amount": 0},
        {"amount": -1},
        {"payment": "another"},
        {"merchant": "mer2"},
        {"id": "first"},
    ],
    ids=str,
)
def test_a_refund_that_is_not_its_payments_is_refused(paid, changes):
    for statement in (REFUND, REFUND.replace("INSERT", "INSERT OR REPLACE")):
        with pytest.raises(sqlite3.IntegrityError):
            paid.execute(statement, refund(**changes))


def test_a_payment_that_did_not_complete_is_not_refunded(books):
    with pytest.raises(sqlite3.IntegrityError):
        give_back(books, "ref", 100)


def test_a_refund_without_its_transfer_is_not_committed(paid):
    with pytest.raises(sqlite3.IntegrityError):
        paid.execute(REFUND, refund())


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 99},
        {"refund": None},
        {"refund": "another"},
        {"refund": "first"},
        {"payment": None},
        {"payment": "another"},
        {"kind": "payment"},
        {"kind": "funding"},
        {"debit": CARDHOLDER, "credit": MERCHANT},
        {"debit": OTHER_MERCHANT},
        {"debit": FUNDING},
        {"credit": FUNDING},
        {"currency": "USD"},
    ],
    ids=str,
)
def test_a_transfer_that_is_not_its_refunds_is_refused(paid, changes):
    before = balances(paid)
    paid.execute("BEGIN")
    paid.execute(REFUND, refund())
    with pytest.raises(sqlite3.IntegrityError):
        paid.execute(TRANSFER, back(**changes))
    paid.execute("ROLLBACK")
    assert balances(paid) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments SET refunded = 0 WHERE id = 'pay'",
        "UPDATE payments SET refunded = 300 WHERE id = 'pay'",
        "UPDATE refunds SET amount = 1",
        "DELETE FROM refunds",
        "DELETE FROM transfers",
        "UPDATE transfers SET refund_id = NULL WHERE kind = 'refund'",
    ],
)
def test_what_was_given_back_cannot_be_rewritten(paid, statement):
    with pytest.raises(sqlite3.IntegrityError):
        paid.execute(statement)
    assert paid.execute("SELECT refunded FROM payments").fetchone() == (100,)


def test_books_kept_before_there_were_refunds_go_on(tmp_path):
    steps = migrations("sqlite")
    connection = connect(tmp_path / "db")
    migrate(connection, steps[:1])
    run = connection.execute
    run("INSERT INTO merchants (id, name, key_digest, created_ms) VALUES ('mer', 'Cafe', zeroblob(32), 1)")
    run("INSERT INTO cardholders (id, name, phone, created_ms) VALUES ('chd', 'Hanako', '+811234567', 1)")
    for owner, kind in (("issuer", "funding"), ("chd", "cardholder"), ("mer", "merchant")):
        run("INSERT INTO accounts (owner, kind, currency) VALUES (?, ?, 'JPY')", (owner, kind))
    old = TRANSFER.replace("refund_id, ", "").replace(":refund, ", "")
    run(old, transfer(kind="funding", payment=None, debit=FUNDING, credit=CARDHOLDER, amount=1000))
    run(PAYMENT, {"id": "pay", "amount": 300, "state": "requested"})
    run(old, transfer())
    run("UPDATE payments SET state = 'completed' WHERE id = 'pay'")
    columns = "seq, kind, payment_id, debit_account, credit_account, currency, amount, created_ms"
    before = run(f"SELECT {columns} FROM transfers").fetchall(), balances(connection)
    triggers = {name for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    migrate(connection, steps)
    assert (run(f"SELECT {columns} FROM transfers").fetchall(), balances(connection)) == before
    assert triggers < {name for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    assert run("PRAGMA foreign_key_check").fetchall() == []
    give_back(connection, "ref", 300)
    assert balances(connection) == {FUNDING: -1000, CARDHOLDER: 1000, MERCHANT: 0}
    with pytest.raises(sqlite3.IntegrityError):
        run(TRANSFER, transfer())
    connection.close()
