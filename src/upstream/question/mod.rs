//! Questions that a legacy upstream asks (elicitation, sampling, roots): what each needs of who
//! answers it (`need`), the answer when nobody is asked (`refusal`), and whose call a question
//! belongs to and which are open (`ledger`).

mod asker;
mod ledger;
mod need;
mod refusal;

pub use asker::Asker;
pub(super) use ledger::{Ledger, Seat};
pub(super) use need::Question;
pub use need::need;
pub use refusal::refusal;

#[cfg(test)]
mod tests;
