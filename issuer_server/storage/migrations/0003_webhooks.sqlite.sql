-- Where merchants want to be told, and what is still to be told: a message is written with what it tells of.

CREATE TABLE webhook_endpoints (
    id                 TEXT PRIMARY KEY,
    merchant_id        TEXT NOT NULL REFERENCES merchants (id),
    url                TEXT NOT NULL CHECK (length(url) BETWEEN 8 AND 2048),
    secret             BLOB NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    previous_secret    BLOB CHECK (length(previous_secret) BETWEEN 24 AND 64),
    previous_until_ms  INTEGER,
    disabled           INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_ms         INTEGER NOT NULL,
    CHECK ((previous_secret IS NULL) = (previous_until_ms IS NULL))
) STRICT;

CREATE INDEX webhook_endpoints_of_merchant ON webhook_endpoints (merchant_id);

-- A message that arrived is deleted; one that was given up stays, without a next attempt.
CREATE TABLE webhook_messages (
    id           TEXT NOT NULL,
    endpoint_id  TEXT NOT NULL REFERENCES webhook_endpoints (id),
    payload      TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_ms      INTEGER,
    problem      TEXT,
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (id, endpoint_id)
) STRICT;

CREATE INDEX webhook_messages_due ON webhook_messages (endpoint_id, next_ms) WHERE next_ms IS NOT NULL;
