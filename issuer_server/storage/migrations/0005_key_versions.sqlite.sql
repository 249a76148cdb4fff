-- Which versions of the issuer's keys are in use, and what was made with which. The keys themselves are in files or in a
-- token, never here: a check value is eight bytes of a hash, enough to notice that the wrong key was restored.

CREATE TABLE key_versions (
    purpose      TEXT NOT NULL CHECK (purpose IN ('signing', 'pan-index', 'pin-pepper', 'webhook-seal')),
    version      INTEGER NOT NULL CHECK (version BETWEEN 1 AND 99999),
    state        TEXT NOT NULL CHECK (state IN ('active', 'previous', 'retired')),
    check_value  BLOB CHECK (length(check_value) = 8),
    created_ms   INTEGER NOT NULL,
    retired_ms   INTEGER,
    PRIMARY KEY (purpose, version),
    CHECK ((state = 'retired') = (retired_ms IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX one_active_key_a_purpose ON key_versions (purpose) WHERE state = 'active';

INSERT INTO key_versions (purpose, version, state, created_ms)
SELECT purpose, 1, 'active', CAST(strftime('%s', 'now') AS INTEGER) * 1000
FROM (SELECT 'signing' AS purpose UNION SELECT 'pan-index' UNION SELECT 'pin-pepper' UNION SELECT 'webhook-seal');

CREATE TRIGGER key_version_stays BEFORE DELETE ON key_versions
BEGIN
    SELECT RAISE(ABORT, 'a key version is retired, never deleted: its number must not come back');
END;

CREATE TRIGGER retired_key_stays_retired BEFORE UPDATE ON key_versions
WHEN OLD.state = 'retired' OR NEW.purpose <> OLD.purpose OR NEW.version <> OLD.version
BEGIN
    SELECT RAISE(ABORT, 'a retired key does not come back');
END;

-- What was stored before there were versions was made with version 1.
ALTER TABLE cards ADD COLUMN pan_key INTEGER NOT NULL DEFAULT 1;
ALTER TABLE cards ADD COLUMN pin_key INTEGER NOT NULL DEFAULT 1;
ALTER TABLE readers ADD COLUMN issuer_key INTEGER NOT NULL DEFAULT 1;
ALTER TABLE enrolment_codes ADD COLUMN issuer_key INTEGER NOT NULL DEFAULT 1;

-- Retiring counts what is left of a version: it must not have to look at every card.
CREATE INDEX cards_by_pan_key ON cards (pan_key);
CREATE INDEX cards_by_pin_key ON cards (pin_key);

-- A card stored with an index of yesterday's key, by a command that read its keys before a rotation, could be stored
-- twice: it would not be seen that the same number is there under today's.
CREATE TRIGGER card_has_the_active_index BEFORE INSERT ON cards
WHEN NOT EXISTS (
    SELECT 1 FROM key_versions WHERE purpose = 'pan-index' AND version = NEW.pan_key AND state = 'active')
BEGIN
    SELECT RAISE(ABORT, 'the card number index was rotated meanwhile: try again');
END;

CREATE TRIGGER card_is_indexed_anew BEFORE UPDATE OF pan_index, pan_key ON cards
WHEN NOT EXISTS (
    SELECT 1 FROM key_versions WHERE purpose = 'pan-index' AND version = NEW.pan_key AND state = 'active')
BEGIN
    SELECT RAISE(ABORT, 'the card number index was rotated meanwhile: try again');
END;

CREATE TRIGGER card_has_a_living_pepper BEFORE INSERT ON cards
WHEN NOT EXISTS (
    SELECT 1 FROM key_versions WHERE purpose = 'pin-pepper' AND version = NEW.pin_key AND state <> 'retired')
BEGIN
    SELECT RAISE(ABORT, 'the PIN pepper was retired meanwhile: try again');
END;

CREATE TRIGGER pin_has_a_living_pepper BEFORE UPDATE OF pin_verifier, pin_key ON cards
WHEN NOT EXISTS (
    SELECT 1 FROM key_versions WHERE purpose = 'pin-pepper' AND version = NEW.pin_key AND state <> 'retired')
BEGIN
    SELECT RAISE(ABORT, 'the PIN pepper was retired meanwhile: try again');
END;

-- What the operator did that somebody may ask about later. `operator` is the login name at the machine.
CREATE TABLE audit_log (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms     INTEGER NOT NULL,
    operator  TEXT NOT NULL CHECK (length(operator) BETWEEN 1 AND 80),
    action    TEXT NOT NULL CHECK (length(action) BETWEEN 1 AND 40),
    subject   TEXT NOT NULL CHECK (length(subject) BETWEEN 1 AND 80)
) STRICT;

CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_log_is_never_deleted BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
