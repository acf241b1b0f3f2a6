//! What the check says, what it builds, and that nothing makes it stumble.

mod arbitrary;
mod built;
mod loaded;
mod made;
mod told;
