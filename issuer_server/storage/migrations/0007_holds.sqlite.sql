-- Money held for a payment in flight: from the swipe on, so that no other payment can spend it meanwhile.
-- A hold goes with its payment: turned into the transfer, or released, by the very statement that ends the payment.

CREATE TABLE holds (
    payment_id  TEXT PRIMARY KEY REFERENCES payments (id),
    account_id  INTEGER NOT NULL REFERENCES accounts (id),
    amount      INTEGER NOT NULL CHECK (amount > 0),
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX holds_on_account ON holds (account_id);

-- What is available is balance - held, and never below zero: a hold, or a transfer without one, takes from that.
ALTER TABLE accounts ADD COLUMN held INTEGER NOT NULL DEFAULT 0
    CONSTRAINT held_above_balance CHECK (held >= 0 AND (kind <> 'cardholder' OR held <= balance));

CREATE TRIGGER account_starts_without_holds BEFORE INSERT ON accounts
WHEN NEW.held <> 0
BEGIN
    SELECT RAISE(ABORT, 'what is held follows from holds');
END;

CREATE TRIGGER held_moves_by_hold BEFORE UPDATE OF held ON accounts
WHEN NEW.held <> (SELECT coalesce(sum(amount), 0) FROM holds WHERE account_id = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'what is held follows from holds');
END;

CREATE TRIGGER hold_is_its_payments BEFORE INSERT ON holds
WHEN EXISTS (SELECT 1 FROM holds WHERE payment_id = NEW.payment_id) OR NOT EXISTS (
    SELECT 1 FROM payments p JOIN accounts a ON a.id = NEW.account_id
    WHERE p.id = NEW.payment_id AND p.amount = NEW.amount AND p.currency = a.currency
      AND p.state NOT IN ('completed', 'not_settled')
      AND a.kind = 'cardholder' AND a.owner = p.cardholder_id)
BEGIN
    SELECT RAISE(ABORT, 'a hold is made once, of its payment''s amount, on its cardholder''s account');
END;

CREATE TRIGGER hold_is_counted AFTER INSERT ON holds
BEGIN
    UPDATE accounts SET held = held + NEW.amount WHERE id = NEW.account_id;
END;

CREATE TRIGGER hold_is_never_changed BEFORE UPDATE ON holds
BEGIN
    SELECT RAISE(ABORT, 'a hold is made and released, never changed');
END;

CREATE TRIGGER hold_lasts_as_long_as_its_payment BEFORE DELETE ON holds
WHEN EXISTS (SELECT 1 FROM payments WHERE id = OLD.payment_id AND state NOT IN ('completed', 'not_settled'))
  AND NOT EXISTS (SELECT 1 FROM transfers WHERE payment_id = OLD.payment_id AND kind = 'payment')
BEGIN
    SELECT RAISE(ABORT, 'a hold lasts until its payment has ended');
END;

CREATE TRIGGER hold_is_released AFTER DELETE ON holds
BEGIN
    UPDATE accounts SET held = held - OLD.amount WHERE id = OLD.account_id;
END;

-- Every end that moves no money. The one that does is below, for there the order matters: a balance may fall by
-- what was held only once it is held no more.
CREATE TRIGGER payment_end_releases_its_hold AFTER UPDATE OF state ON payments
WHEN NEW.state = 'not_settled'
BEGIN
    DELETE FROM holds WHERE payment_id = NEW.id;
END;

DROP TRIGGER transfer_moves_balances;
CREATE TRIGGER transfer_moves_balances AFTER INSERT ON transfers
BEGIN
    DELETE FROM holds WHERE payment_id = NEW.payment_id;
    UPDATE accounts SET balance = balance - NEW.amount, last_transfer = NEW.seq WHERE id = NEW.debit_account;
    UPDATE accounts SET balance = balance + NEW.amount, last_transfer = NEW.seq WHERE id = NEW.credit_account;
END;
