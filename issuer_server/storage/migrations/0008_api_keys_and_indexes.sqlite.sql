-- A merchant's API key is replaced without a gap: the one before it is good until a time.
ALTER TABLE merchants ADD COLUMN previous_key_digest BLOB CHECK (length(previous_key_digest) = 32);
ALTER TABLE merchants ADD COLUMN previous_until_ms INTEGER
    CHECK ((previous_key_digest IS NULL) = (previous_until_ms IS NULL));

CREATE UNIQUE INDEX merchants_by_previous_key ON merchants (previous_key_digest)
    WHERE previous_key_digest IS NOT NULL;

-- A statement reads the entries of its account, and not every entry there is.
CREATE INDEX transfers_from_account ON transfers (debit_account, created_ms, amount);
CREATE INDEX transfers_to_account ON transfers (credit_account, created_ms, amount);

-- What did not arrive is looked at by endpoint; what was given up is dropped in its time.
CREATE INDEX webhook_messages_of_endpoint ON webhook_messages (endpoint_id, created_ms);
CREATE INDEX webhook_messages_given_up ON webhook_messages (created_ms) WHERE next_ms IS NULL;
