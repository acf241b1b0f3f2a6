-- What was decided, one row each, chained for each tenant; and what it came to, by day.

-- One chain for each tenant: where it begins since retention took what was before, and where it ends.
CREATE TABLE audit_chain (
    number    INTEGER PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL UNIQUE CHECK (length(tenant_id) = 16),
    name      TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    before    BLOB NOT NULL CHECK (length(before) = 32),
    last_seq  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    last_mac  BLOB NOT NULL CHECK (length(last_mac) = 32),
    seal      BLOB NOT NULL CHECK (length(seal) = 32)
) STRICT;

-- How many chains there are, and the last record of all: one row.
CREATE TABLE audit_book (
    one     INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    chains  INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    breaks  INTEGER NOT NULL,
    seal    BLOB NOT NULL CHECK (length(seal) = 32)
) STRICT;

CREATE TABLE audit_record (
    id     INTEGER PRIMARY KEY NOT NULL,
    chain  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    record BLOB NOT NULL,
    mac    BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
CREATE UNIQUE INDEX audit_record_of_chain ON audit_record (chain, seq);

-- Stays when records are pruned.
CREATE TABLE usage (
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    day       INTEGER NOT NULL,
    key_id    TEXT NOT NULL,
    upstream  TEXT NOT NULL,
    method    TEXT NOT NULL,
    tool      TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    errors    INTEGER NOT NULL,
    bytes_in  INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    ms        INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, day, key_id, upstream, method, tool)
) STRICT, WITHOUT ROWID;
