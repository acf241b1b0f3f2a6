-- Generations of the key that seals data keys; the first has no row of its own in `sealed`, since
-- it is derived from the root key.
CREATE TABLE sealing (
    generation INTEGER PRIMARY KEY NOT NULL CHECK (generation > 0),
    tag        BLOB NOT NULL UNIQUE CHECK (length(tag) = 8),
    sealed     BLOB,
    made_at    INTEGER NOT NULL
) STRICT;

-- Profiles that were made over the API: the keys of `[profiles.NAME]` as a JSON document each.
CREATE TABLE profile (
    name       TEXT PRIMARY KEY NOT NULL,
    document   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Upstreams that a tenant has turned off for itself.
CREATE TABLE turned_off (
    tenant_id BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    upstream  TEXT NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, upstream)
) STRICT, WITHOUT ROWID;
