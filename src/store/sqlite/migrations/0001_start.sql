-- Tenants, digests of keys, sealed secrets.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name       TEXT NOT NULL UNIQUE,
    origin     TEXT NOT NULL CHECK (origin IN ('file', 'store')),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id           TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 10),
    tenant_id    BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    digest       BLOB NOT NULL CHECK (length(digest) = 32),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_of_tenant ON api_key (tenant_id, created_at);

CREATE TABLE data_key (
    tenant_id BLOB PRIMARY KEY NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    sealed    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secret (
    tenant_id BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    upstream  TEXT NOT NULL,
    slot      TEXT NOT NULL,
    sealed    BLOB NOT NULL,
    set_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, upstream, slot)
) STRICT, WITHOUT ROWID;

-- Outlives the value, so that no generation is ever given twice.
CREATE TABLE secret_generation (
    tenant_id  BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    upstream   TEXT NOT NULL,
    slot       TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    PRIMARY KEY (tenant_id, upstream, slot)
) STRICT, WITHOUT ROWID;
