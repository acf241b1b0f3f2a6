-- Assertions by which clients of the connector doors have proved who they are (RFC 7523), each until
-- its time is up: none is good twice, whichever process of the store it is shown to. Keyed digests of
-- the client and of the id that it gave are kept, nothing else.
CREATE TABLE oauth_assertion (
    client     BLOB NOT NULL CHECK (length(client) = 32),
    assertion  BLOB NOT NULL CHECK (length(assertion) = 32),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client, assertion)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_assertion_by_end ON oauth_assertion (expires_at);
