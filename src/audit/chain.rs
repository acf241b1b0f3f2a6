//! The links of a chain, under keys of their own. Whoever has the database and not the key cannot
//! make one.

use crate::seal::{Digest, MacKey, Ring};
use crate::store::{AuditBook, AuditHead, AuditRow, Links};

/// Makes links.
#[derive(Debug)]
pub(super) struct Chain {
    links: MacKey,
    heads: MacKey,
    book: MacKey,
}

impl Chain {
    pub(super) fn new(ring: &Ring) -> Self {
        Self {
            links: ring.mac_key("audit link"),
            heads: ring.mac_key("audit head"),
            book: ring.mac_key("audit book"),
        }
    }
}

impl Links for Chain {
    fn link(&self, row: &AuditRow, record: &[u8], before: &Digest) -> Digest {
        // All but the record have a fixed length.
        self.links.code(&[
            before,
            row.tenant.as_bytes(),
            &row.id.to_le_bytes(),
            &row.seq.to_le_bytes(),
            &row.at.to_le_bytes(),
            record,
        ])
    }

    fn seal(&self, head: &AuditHead) -> Digest {
        self.heads.code(&[
            &head.chain.to_le_bytes(),
            head.tenant.as_bytes(),
            &head.first.to_le_bytes(),
            &head.before,
            &head.last.to_le_bytes(),
            &head.at.to_le_bytes(),
            &head.mac,
            head.name.as_bytes(),
        ])
    }

    fn bind(&self, book: &AuditBook) -> Digest {
        self.book.code(&[
            &book.chains.to_le_bytes(),
            &book.last_id.to_le_bytes(),
            &book.breaks.to_le_bytes(),
        ])
    }
}
