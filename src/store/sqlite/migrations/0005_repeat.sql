-- Requests that named themselves with an `Idempotency-Key`, and what they were answered, sealed.
-- A row without an answer is a request that has begun.
CREATE TABLE repeat (
    key_id  TEXT NOT NULL CHECK (length(key_id) = 10),
    name    TEXT NOT NULL,
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    answer  TEXT,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX repeat_by_age ON repeat (made_at);
