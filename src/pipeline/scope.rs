//! What a caller's key takes away from what its tenant may use.

use crate::auth::Principal;
use crate::base::Narrow;

/// The narrowing of a key; everything that decides asks here.
pub(super) fn narrow(principal: &Principal) -> &Narrow {
    principal.narrow()
}
