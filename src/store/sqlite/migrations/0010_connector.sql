-- Clients of the connector doors that registered themselves (RFC 7591). The secret of one that has
-- one is kept as a keyed digest.
CREATE TABLE oauth_client (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    redirects  TEXT NOT NULL,
    method     TEXT NOT NULL CHECK (method IN ('none', 'client_secret_basic', 'client_secret_post')),
    digest     BLOB CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_client_by_use ON oauth_client (used_at, created_at);

-- What somebody has allowed a client. Codes and refresh tokens are sealed texts that name a row and
-- a generation; neither they nor digests of them are kept. Generation 0 is the code, and each later
-- one a refresh token: one that is not the newest was used before.
CREATE TABLE oauth_grant (
    tenant_id   BLOB NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    id          BLOB NOT NULL CHECK (length(id) = 16),
    key_id      TEXT NOT NULL CHECK (length(key_id) = 10),
    client_id   TEXT NOT NULL,
    client_name TEXT NOT NULL,
    redirect    TEXT NOT NULL,
    resource    TEXT NOT NULL,
    challenge   TEXT NOT NULL,
    code_until  INTEGER NOT NULL,
    generation  INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    created_at  INTEGER NOT NULL,
    used_at     INTEGER NOT NULL,
    ended_at    INTEGER,
    ended_by    TEXT,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX oauth_grant_by_id ON oauth_grant (id);
CREATE INDEX oauth_grant_of_client ON oauth_grant (client_id);
CREATE INDEX oauth_grant_by_use ON oauth_grant (used_at);
