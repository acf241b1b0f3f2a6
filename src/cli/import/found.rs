//! One server of a client's file, in words that all clients share.

/// What a value is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// An environment variable of the client, and what stands in for it when it is not set.
    Variable(String, Option<String>),
    /// What the client asks the person for.
    Input(String),
    /// A word of the client's own, such as the folder that is open in it.
    Word(String),
}

/// A value in pieces.
pub(super) type Pieces = Vec<Piece>;

/// How the client reaches the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Program and arguments.
    Command { words: Vec<Pieces>, env: Vec<(String, Pieces)>, cwd: Option<Pieces> },
    /// A URL.
    Url { url: Pieces, headers: Vec<(String, Pieces)> },
}

/// How the client logs in there (OAuth).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    /// A client that somebody has registered there.
    pub(super) client_id: Option<Pieces>,
    pub(super) client_secret: Option<Pieces>,
    pub(super) scopes: Vec<String>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name there.
    pub(super) name: String,
    /// Where it stands in the file.
    pub(super) place: String,
    /// None where it could not be made out.
    pub(super) way: Option<Way>,
    pub(super) login: Option<Login>,
    /// It is switched off there.
    pub(super) disabled: bool,
    /// Tools by its own names.
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
    /// Milliseconds.
    pub(super) timeout: Option<u64>,
    pub(super) start_timeout: Option<u64>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// The text of pieces that are nothing else.
pub(super) fn plain(pieces: &[Piece]) -> Option<String> {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => Some(text.clone()),
        _ => None,
    };
    pieces.iter().map(text).collect()
}
