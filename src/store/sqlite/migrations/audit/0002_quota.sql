-- What the scopes of [limits] have used of a day and a month, so that a restart gives nothing back.
CREATE TABLE quota (
    place       TEXT PRIMARY KEY NOT NULL,
    day         INTEGER NOT NULL,
    calls       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    month_calls INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
