-- Who renews the login of a tenant at an upstream: one process at a time, until its time is up.
CREATE TABLE login_lease (
    tenant_id BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    upstream  TEXT NOT NULL,
    holder    BLOB NOT NULL CHECK (length(holder) = 16),
    until     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, upstream)
) STRICT, WITHOUT ROWID;

-- Logins that a browser has begun and not finished. `state` is a digest, and each row is taken once.
CREATE TABLE login_attempt (
    state      BLOB PRIMARY KEY NOT NULL CHECK (length(state) = 32),
    tenant_id  BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    sealed     BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
