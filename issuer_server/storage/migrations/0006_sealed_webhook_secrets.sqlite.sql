-- The secrets that sign webhooks lay here in clear. From now on they are sealed under a key that is not in the database;
-- the version of that key stands beside each. NULL: in clear still, until the server's next start seals it.

ALTER TABLE webhook_endpoints ADD COLUMN sealed_by INTEGER;
ALTER TABLE webhook_endpoints ADD COLUMN previous_sealed_by INTEGER;

-- Work that follows a change of the schema and cannot be a part of it. Gone when it is done, so that a crash repeats it.
CREATE TABLE chores (
    name  TEXT PRIMARY KEY CHECK (name IN ('overwrite_clear_secrets'))
) STRICT;

-- Secrets replaced and endpoints removed earlier left theirs in free space of the file.
INSERT INTO chores SELECT 'overwrite_clear_secrets' WHERE EXISTS (SELECT 1 FROM merchants);

CREATE TRIGGER webhook_secret_is_sealed BEFORE INSERT ON webhook_endpoints
WHEN NOT EXISTS (
    SELECT 1 FROM key_versions WHERE purpose = 'webhook-seal' AND version = NEW.sealed_by AND state <> 'retired')
BEGIN
    SELECT RAISE(ABORT, 'a webhook secret is stored sealed, under a key in use: try again');
END;

CREATE TRIGGER webhook_secret_stays_sealed BEFORE UPDATE OF secret, sealed_by ON webhook_endpoints
WHEN NOT EXISTS (
    SELECT 1 FROM key_versions WHERE purpose = 'webhook-seal' AND version = NEW.sealed_by AND state <> 'retired')
BEGIN
    SELECT RAISE(ABORT, 'a webhook secret is stored sealed, under a key in use: try again');
END;
