-- Upstreams that were made over the API: the keys of `[upstreams.NAME]` as a JSON document each.
-- No secret stands in one; templates name them.
CREATE TABLE upstream (
    name       TEXT PRIMARY KEY,
    document   TEXT NOT NULL,
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
