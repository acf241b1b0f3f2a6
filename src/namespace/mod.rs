//! Where a name leads: public names and URIs, the catalogues behind them, and the way back.
//!
//! Names are a pure function of the file and (upstream, original name): adding an upstream
//! renames nothing. Rewriting is the inverse of routing, hence both live here.

mod arguments;
mod audience;
mod catalogue;
mod door;
mod dress;
mod fallback;
mod gate;
mod meta;
mod name;
mod page;
mod plan;
mod rewrite;
mod schema;
mod uri;
mod view;

pub use arguments::{
    ArgumentError, decode_header, encode_header, first_sent, inject, parameter_headers,
};
pub use audience::{Audience, Definition};
pub use catalogue::{Catalogue, Item, Listing, Tool};
pub use door::Door;
pub use fallback::falls_back;
pub use gate::{Entry, Gate, Guise, Pin};
pub use name::Namer;
pub use page::{Page, read_page};
pub use plan::{Plan, Target};
pub use rewrite::{
    Naming, Recipient, ShiftedEdits, UriWay, rewrite_error_uri, rewrite_naming, rewrite_result,
};
pub use schema::{HeaderParameter, ParameterKind};
pub use uri::{join_template, join_uri, split_uri};
pub use view::View;
