-- What may change in a session, and the tombstones of those that have ended.
CREATE TABLE session (
    tenant_id  BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    used_at    INTEGER NOT NULL,
    state      TEXT NOT NULL,
    ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
    keep_until INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_end ON session (keep_until);
