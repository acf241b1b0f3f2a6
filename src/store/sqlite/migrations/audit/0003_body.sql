-- Bodies of calls, sealed, where the file wants them kept; each until it expires. `seq` is the place of
-- the call's record in the chain of its tenant.
CREATE TABLE body (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    tenant_id       BLOB NOT NULL CHECK (length(tenant_id) = 16),
    seq             INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    upstream        TEXT NOT NULL,
    method          TEXT NOT NULL,
    name            TEXT NOT NULL,
    arguments_bytes INTEGER,
    answer_bytes    INTEGER,
    sealed          BLOB NOT NULL
) STRICT;
CREATE INDEX body_of_tenant ON body (tenant_id, seq);
CREATE INDEX body_expires ON body (expires);

-- How much all of them are: one row, kept right by the database itself.
CREATE TABLE body_sum (
    one   INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO body_sum (one, bytes) VALUES (1, 0);
CREATE TRIGGER body_comes AFTER INSERT ON body BEGIN
    UPDATE body_sum SET bytes = bytes + length(NEW.sealed);
END;
CREATE TRIGGER body_goes AFTER DELETE ON body BEGIN
    UPDATE body_sum SET bytes = bytes - length(OLD.sealed);
END;
