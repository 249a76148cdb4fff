-- Cardholders may refuse a merchant for good; and how many payments call a phone at once is counted at each insert.

CREATE TABLE merchant_blocks (
    cardholder_id  TEXT NOT NULL REFERENCES cardholders (id),
    merchant_id    TEXT NOT NULL REFERENCES merchants (id),
    created_ms     INTEGER NOT NULL,
    PRIMARY KEY (cardholder_id, merchant_id)
) STRICT;

CREATE INDEX payments_calling ON payments (cardholder_id) WHERE state NOT IN ('completed', 'not_settled');
