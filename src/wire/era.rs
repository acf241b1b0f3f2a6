//! The two eras of the protocol and its revisions.

/// How a peer speaks: with a handshake and sessions, or stateless with `_meta` on each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize`, sessions.
    Legacy,
    /// 2026-07-28: no handshake, no session.
    Modern,
}

/// A protocol revision. Version strings are a known set, never compared as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// HTTP+SSE, no version header.
    V2024_11_05,
    /// Streamable HTTP, batches.
    V2025_03_26,
    /// `MCP-Protocol-Version`, structured content, elicitation.
    V2025_06_18,
    /// Tasks, URL elicitation, SSE polling.
    V2025_11_25,
    /// Stateless.
    V2026_07_28,
}

impl Revision {
    /// The newest revision of the legacy era: the answer to an unknown `initialize`.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;
    /// The newest revision of the modern era.
    pub const LATEST_MODERN: Self = Self::V2026_07_28;

    /// The version string on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Reads a version string that is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "2024-11-05" => Some(Self::V2024_11_05),
            "2025-03-26" => Some(Self::V2025_03_26),
            "2025-06-18" => Some(Self::V2025_06_18),
            "2025-11-25" => Some(Self::V2025_11_25),
            "2026-07-28" => Some(Self::V2026_07_28),
            _ => None,
        }
    }

    /// The era it belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }
}
