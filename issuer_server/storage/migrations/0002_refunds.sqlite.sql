-- Refunds: money back from the merchant to the cardholder, in parts or whole, never more than was paid.
-- SQLite cannot widen a CHECK in place, so `transfers` is built anew with its rows; whatever names it steps aside meanwhile.

DROP TRIGGER balance_moves_by_transfer;
DROP TRIGGER transfer_is_new;
DROP TRIGGER payment_transfer_matches;
DROP TRIGGER funding_transfer_matches;
DROP TRIGGER transfer_moves_balances;
DROP TRIGGER transfer_is_never_changed;
DROP TRIGGER transfer_is_never_deleted;
DROP TRIGGER completed_means_transferred;

ALTER TABLE payments ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0
    CONSTRAINT refunded_above_payment CHECK (refunded BETWEEN 0 AND amount);

-- A refund and its transfer name each other, so that neither can be committed alone.
CREATE TABLE refunds (
    id               TEXT PRIMARY KEY REFERENCES transfers (refund_id) DEFERRABLE INITIALLY DEFERRED,
    payment_id       TEXT NOT NULL REFERENCES payments (id),
    merchant_id      TEXT NOT NULL REFERENCES merchants (id),
    amount           INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    idempotency_key  TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    payload_digest   BLOB NOT NULL CHECK (length(payload_digest) = 32),
    created_ms       INTEGER NOT NULL,
    UNIQUE (merchant_id, idempotency_key)
) STRICT;

CREATE INDEX refunds_of_payment ON refunds (payment_id, created_ms DESC, id DESC);

CREATE TABLE wider_transfers (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            TEXT NOT NULL CHECK (kind IN ('payment', 'funding', 'refund')),
    payment_id      TEXT REFERENCES payments (id),
    refund_id       TEXT UNIQUE REFERENCES refunds (id),
    debit_account   INTEGER NOT NULL,
    credit_account  INTEGER NOT NULL,
    currency        TEXT NOT NULL,
    amount          INTEGER NOT NULL CHECK (amount > 0),
    created_ms      INTEGER NOT NULL,
    CHECK (debit_account <> credit_account),
    CHECK ((kind IN ('payment', 'refund')) = (payment_id IS NOT NULL)),
    CHECK ((kind = 'refund') = (refund_id IS NOT NULL)),
    FOREIGN KEY (debit_account, currency) REFERENCES accounts (id, currency),
    FOREIGN KEY (credit_account, currency) REFERENCES accounts (id, currency)
) STRICT;

INSERT INTO wider_transfers (seq, kind, payment_id, debit_account, credit_account, currency, amount, created_ms)
    SELECT seq, kind, payment_id, debit_account, credit_account, currency, amount, created_ms
    FROM transfers ORDER BY seq;
DROP TABLE transfers;
ALTER TABLE wider_transfers RENAME TO transfers;

CREATE UNIQUE INDEX one_transfer_a_payment ON transfers (payment_id) WHERE kind = 'payment';
CREATE INDEX refund_transfers_of_payment ON transfers (payment_id) WHERE kind = 'refund';

CREATE TRIGGER balance_moves_by_transfer BEFORE UPDATE OF balance, last_transfer ON accounts
WHEN NOT EXISTS (
    SELECT 1 FROM transfers t
    WHERE t.seq = NEW.last_transfer AND NEW.last_transfer > OLD.last_transfer
      AND ((t.debit_account = OLD.id AND NEW.balance = OLD.balance - t.amount)
        OR (t.credit_account = OLD.id AND NEW.balance = OLD.balance + t.amount)))
BEGIN
    SELECT RAISE(ABORT, 'a balance moves by a new transfer only');
END;

CREATE TRIGGER transfer_is_new BEFORE INSERT ON transfers
WHEN EXISTS (SELECT 1 FROM transfers WHERE seq = NEW.seq)
  OR (NEW.kind = 'payment' AND EXISTS (
        SELECT 1 FROM transfers WHERE payment_id = NEW.payment_id AND kind = 'payment'))
  OR EXISTS (SELECT 1 FROM transfers WHERE refund_id = NEW.refund_id)
BEGIN
    SELECT RAISE(ABORT, 'a payment is transferred once, and so is a refund');
END;

CREATE TRIGGER payment_transfer_matches BEFORE INSERT ON transfers
WHEN NEW.kind = 'payment' AND NOT EXISTS (
    SELECT 1 FROM payments p
    JOIN accounts debit ON debit.id = NEW.debit_account
    JOIN accounts credit ON credit.id = NEW.credit_account
    WHERE p.id = NEW.payment_id AND p.amount = NEW.amount AND p.currency = NEW.currency
      AND p.state NOT IN ('completed', 'not_settled')
      AND debit.kind = 'cardholder' AND debit.owner = p.cardholder_id
      AND credit.kind = 'merchant' AND credit.owner = p.merchant_id)
BEGIN
    SELECT RAISE(ABORT, 'a transfer takes its payment''s amount from its cardholder to its merchant');
END;

CREATE TRIGGER funding_transfer_matches BEFORE INSERT ON transfers
WHEN NEW.kind = 'funding' AND NOT EXISTS (
    SELECT 1 FROM accounts debit JOIN accounts credit ON credit.id = NEW.credit_account
    WHERE debit.id = NEW.debit_account AND debit.kind = 'funding' AND credit.kind = 'cardholder')
BEGIN
    SELECT RAISE(ABORT, 'funding goes from the issuer to a cardholder');
END;

CREATE TRIGGER refund_transfer_matches BEFORE INSERT ON transfers
WHEN NEW.kind = 'refund' AND NOT EXISTS (
    SELECT 1 FROM refunds r
    JOIN payments p ON p.id = r.payment_id
    JOIN accounts debit ON debit.id = NEW.debit_account
    JOIN accounts credit ON credit.id = NEW.credit_account
    WHERE r.id = NEW.refund_id AND r.payment_id = NEW.payment_id AND r.amount = NEW.amount
      AND p.currency = NEW.currency AND p.state = 'completed'
      AND debit.kind = 'merchant' AND debit.owner = p.merchant_id
      AND credit.kind = 'cardholder' AND credit.owner = p.cardholder_id)
BEGIN
    SELECT RAISE(ABORT, 'a refund gives its amount back from its payment''s merchant to its cardholder');
END;

CREATE TRIGGER transfer_moves_balances AFTER INSERT ON transfers
BEGIN
    UPDATE accounts SET balance = balance - NEW.amount, last_transfer = NEW.seq WHERE id = NEW.debit_account;
    UPDATE accounts SET balance = balance + NEW.amount, last_transfer = NEW.seq WHERE id = NEW.credit_account;
END;

CREATE TRIGGER refund_is_counted AFTER INSERT ON transfers
WHEN NEW.kind = 'refund'
BEGIN
    UPDATE payments SET refunded = refunded + NEW.amount, updated_ms = NEW.created_ms WHERE id = NEW.payment_id;
END;

CREATE TRIGGER transfer_is_never_changed BEFORE UPDATE ON transfers
BEGIN
    SELECT RAISE(ABORT, 'transfers are append-only');
END;

CREATE TRIGGER transfer_is_never_deleted BEFORE DELETE ON transfers
BEGIN
    SELECT RAISE(ABORT, 'transfers are append-only');
END;

CREATE TRIGGER completed_means_transferred BEFORE UPDATE OF state ON payments
WHEN (NEW.state = 'completed') <> EXISTS (SELECT 1 FROM transfers WHERE payment_id = OLD.id AND kind = 'payment')
BEGIN
    SELECT RAISE(ABORT, 'a payment is completed when, and only when, its money was transferred');
END;

CREATE TRIGGER payment_starts_unrefunded BEFORE INSERT ON payments
WHEN NEW.refunded <> 0
BEGIN
    SELECT RAISE(ABORT, 'what is refunded follows from transfers');
END;

CREATE TRIGGER refunded_moves_by_transfer BEFORE UPDATE OF refunded ON payments
WHEN NEW.refunded <> (
    SELECT coalesce(sum(amount), 0) FROM transfers WHERE payment_id = OLD.id AND kind = 'refund')
BEGIN
    SELECT RAISE(ABORT, 'what is refunded follows from transfers');
END;

CREATE TRIGGER refund_is_new BEFORE INSERT ON refunds
WHEN EXISTS (SELECT 1 FROM refunds WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM refunds WHERE merchant_id = NEW.merchant_id AND idempotency_key = NEW.idempotency_key)
BEGIN
    SELECT RAISE(ABORT, 'a refund is made once');
END;

CREATE TRIGGER refund_is_its_payments BEFORE INSERT ON refunds
WHEN NOT EXISTS (
    SELECT 1 FROM payments p
    WHERE p.id = NEW.payment_id AND p.merchant_id = NEW.merchant_id AND p.state = 'completed'
      AND NEW.amount <= p.amount - p.refunded)
BEGIN
    SELECT RAISE(ABORT, 'a refund gives back at most what its completed payment has left');
END;

CREATE TRIGGER refund_is_never_changed BEFORE UPDATE ON refunds
BEGIN
    SELECT RAISE(ABORT, 'refunds are append-only');
END;

CREATE TRIGGER refund_is_never_deleted BEFORE DELETE ON refunds
BEGIN
    SELECT RAISE(ABORT, 'refunds are append-only');
END;
