-- Who there is, the payments, and the double-entry ledger.
-- Times are epoch milliseconds, amounts integer minor units, digests SHA-256. No PAN, no PIN, no key is ever a column.

CREATE TABLE merchants (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
    key_digest  BLOB NOT NULL UNIQUE CHECK (length(key_digest) = 32),
    blocked     INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE cardholders (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    phone       TEXT NOT NULL UNIQUE CHECK (phone GLOB '+[0-9]*'),
    blocked     INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE cards (
    id              TEXT PRIMARY KEY,
    cardholder_id   TEXT NOT NULL REFERENCES cardholders (id),
    pan_index       BLOB NOT NULL UNIQUE CHECK (length(pan_index) = 32),
    last_four       TEXT NOT NULL CHECK (last_four GLOB '[0-9][0-9][0-9][0-9]'),
    expiry          TEXT NOT NULL CHECK (expiry GLOB '[0-9][0-9][01][0-9]'),
    pin_verifier    BLOB NOT NULL CHECK (length(pin_verifier) = 32),
    pin_try_limit   INTEGER NOT NULL CHECK (pin_try_limit BETWEEN 1 AND 15),
    pin_tries_left  INTEGER NOT NULL CHECK (pin_tries_left BETWEEN 0 AND pin_try_limit),
    blocked         INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    created_ms      INTEGER NOT NULL
) STRICT;

CREATE TABLE handsets (
    id             TEXT PRIMARY KEY,
    cardholder_id  TEXT NOT NULL REFERENCES cardholders (id),
    token_digest   BLOB NOT NULL UNIQUE CHECK (length(token_digest) = 32),
    blocked        INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    created_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE readers (
    id             BLOB PRIMARY KEY CHECK (length(id) = 8),
    cardholder_id  TEXT NOT NULL REFERENCES cardholders (id),
    public_key     BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    model          TEXT NOT NULL,
    blocked        INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    created_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE enrolment_codes (
    secret_digest  BLOB PRIMARY KEY CHECK (length(secret_digest) = 32),
    kind           TEXT NOT NULL CHECK (kind IN ('handset', 'reader')),
    cardholder_id  TEXT NOT NULL REFERENCES cardholders (id),
    expires_ms     INTEGER NOT NULL,
    used_ms        INTEGER
) STRICT;

CREATE TRIGGER enrolment_code_is_used_once BEFORE UPDATE ON enrolment_codes
WHEN OLD.used_ms IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an enrolment code is used once');
END;

CREATE TABLE payments (
    id                   TEXT PRIMARY KEY,
    merchant_id          TEXT NOT NULL REFERENCES merchants (id),
    merchant_name        TEXT NOT NULL,
    cardholder_id        TEXT NOT NULL REFERENCES cardholders (id),
    phone                TEXT NOT NULL,
    amount               INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    currency             TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
    description          TEXT NOT NULL CHECK (length(description) BETWEEN 1 AND 80),
    state                TEXT NOT NULL CHECK (state IN ('requested', 'calling', 'approved', 'key_offered',
                             'card_received', 'pin_requested', 'settling', 'completed', 'not_settled')),
    reason               TEXT,
    card_last_four       TEXT CHECK (card_last_four GLOB '[0-9][0-9][0-9][0-9]'),
    reader_id            BLOB REFERENCES readers (id),
    offer_digest         BLOB CHECK (length(offer_digest) = 32),
    last_message_digest  BLOB CHECK (length(last_message_digest) = 32),
    idempotency_key      TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    payload_digest       BLOB NOT NULL CHECK (length(payload_digest) = 32),
    created_ms           INTEGER NOT NULL,
    updated_ms           INTEGER NOT NULL,
    UNIQUE (merchant_id, idempotency_key),
    CHECK ((state = 'not_settled') = (reason IS NOT NULL))
) STRICT;

CREATE INDEX payments_of_merchant ON payments (merchant_id, created_ms DESC, id DESC);
-- Of the id, not of the state: a step from one state in flight to the next leaves it as it is.
CREATE INDEX payments_in_flight ON payments (id) WHERE state NOT IN ('completed', 'not_settled');

-- Double entry. A transfer is one row that takes from one account and gives the same to another, so that an unbalanced
-- posting cannot be written down at all. Balances follow from transfers and move by nothing else.

CREATE TABLE accounts (
    id             INTEGER PRIMARY KEY,
    owner          TEXT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('cardholder', 'merchant', 'funding')),
    currency       TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
    balance        INTEGER NOT NULL DEFAULT 0,
    last_transfer  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, kind, currency),
    UNIQUE (id, currency),
    CONSTRAINT cardholder_balance_below_zero CHECK (kind <> 'cardholder' OR balance >= 0)
) STRICT;

CREATE TABLE transfers (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            TEXT NOT NULL CHECK (kind IN ('payment', 'funding')),
    payment_id      TEXT REFERENCES payments (id),
    debit_account   INTEGER NOT NULL,
    credit_account  INTEGER NOT NULL,
    currency        TEXT NOT NULL,
    amount          INTEGER NOT NULL CHECK (amount > 0),
    created_ms      INTEGER NOT NULL,
    CHECK (debit_account <> credit_account),
    CHECK ((kind = 'payment') = (payment_id IS NOT NULL)),
    FOREIGN KEY (debit_account, currency) REFERENCES accounts (id, currency),
    FOREIGN KEY (credit_account, currency) REFERENCES accounts (id, currency)
) STRICT;

CREATE UNIQUE INDEX one_transfer_a_payment ON transfers (payment_id) WHERE kind = 'payment';

-- REPLACE would delete the old row without asking a delete trigger, hence the look before each insert.
CREATE TRIGGER account_starts_empty BEFORE INSERT ON accounts
WHEN NEW.balance <> 0 OR NEW.last_transfer <> 0
  OR EXISTS (SELECT 1 FROM accounts WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM accounts WHERE owner = NEW.owner AND kind = NEW.kind AND currency = NEW.currency)
BEGIN
    SELECT RAISE(ABORT, 'an account is opened once and starts empty');
END;

CREATE TRIGGER account_keeps_its_name BEFORE UPDATE OF id, owner, kind, currency ON accounts
BEGIN
    SELECT RAISE(ABORT, 'an account keeps its owner, kind and currency');
END;

CREATE TRIGGER account_stays BEFORE DELETE ON accounts
BEGIN
    SELECT RAISE(ABORT, 'accounts are never deleted');
END;

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
BEGIN
    SELECT RAISE(ABORT, 'a payment is transferred once');
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

CREATE TRIGGER transfer_moves_balances AFTER INSERT ON transfers
BEGIN
    UPDATE accounts SET balance = balance - NEW.amount, last_transfer = NEW.seq WHERE id = NEW.debit_account;
    UPDATE accounts SET balance = balance + NEW.amount, last_transfer = NEW.seq WHERE id = NEW.credit_account;
END;

CREATE TRIGGER transfer_is_never_changed BEFORE UPDATE ON transfers
BEGIN
    SELECT RAISE(ABORT, 'transfers are append-only');
END;

CREATE TRIGGER transfer_is_never_deleted BEFORE DELETE ON transfers
BEGIN
    SELECT RAISE(ABORT, 'transfers are append-only');
END;

-- A payment's ends are final, and 'completed' means that the money moved.

CREATE TRIGGER payment_is_new BEFORE INSERT ON payments
WHEN NEW.state <> 'requested' OR EXISTS (SELECT 1 FROM payments WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM payments WHERE merchant_id = NEW.merchant_id AND idempotency_key = NEW.idempotency_key)
BEGIN
    SELECT RAISE(ABORT, 'a payment is created once, as requested');
END;

CREATE TRIGGER payment_keeps_its_terms BEFORE UPDATE OF id, merchant_id, merchant_name, cardholder_id, phone, amount,
    currency, description, idempotency_key, payload_digest, created_ms ON payments
BEGIN
    SELECT RAISE(ABORT, 'a payment keeps its terms');
END;

CREATE TRIGGER payment_end_is_final BEFORE UPDATE OF state, reason ON payments
WHEN OLD.state IN ('completed', 'not_settled')
BEGIN
    SELECT RAISE(ABORT, 'an ended payment stays as it ended');
END;

CREATE TRIGGER completed_means_transferred BEFORE UPDATE OF state ON payments
WHEN (NEW.state = 'completed') <> EXISTS (SELECT 1 FROM transfers WHERE payment_id = OLD.id AND kind = 'payment')
BEGIN
    SELECT RAISE(ABORT, 'a payment is completed when, and only when, its money was transferred');
END;

CREATE TRIGGER payment_is_never_deleted BEFORE DELETE ON payments
BEGIN
    SELECT RAISE(ABORT, 'payments are never deleted');
END;
