-- Roles and scopes of keys; keys of the operator, which belong to no tenant. SQLite cannot take
-- NOT NULL away from a column, so the table is made anew.
CREATE TABLE api_key_with_role (
    id           TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 10),
    tenant_id    BLOB REFERENCES tenant (id) ON DELETE CASCADE,
    role         TEXT NOT NULL CHECK (role IN ('operator', 'admin', 'member')),
    scopes       TEXT NOT NULL,
    created_by   TEXT CHECK (length(created_by) = 10),
    holder       TEXT NOT NULL CHECK (length(holder) = 10),
    name         TEXT NOT NULL,
    digest       BLOB NOT NULL CHECK (length(digest) = 32),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER,
    CHECK ((role = 'operator') = (tenant_id IS NULL))
) STRICT, WITHOUT ROWID;

-- Whoever has a key may use all that its tenant has, as before; to decide something is given out anew.
INSERT INTO api_key_with_role
    (id, tenant_id, role, scopes, holder, name, digest, created_at, expires_at, revoked_at, last_used_at)
SELECT id, tenant_id, 'member', '', id, name, digest, created_at, expires_at, revoked_at, last_used_at
FROM api_key;

DROP TABLE api_key;
ALTER TABLE api_key_with_role RENAME TO api_key;
CREATE INDEX api_key_of_tenant ON api_key (tenant_id, created_at);
