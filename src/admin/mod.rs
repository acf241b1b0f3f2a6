//! The API for whoever looks after tenants: `/api/v1`. `router` holds the one table from which
//! the routes, their rights, the OpenAPI document and the tests are made; a file for each noun
//! holds what the routes do; `serve` is the way of one request.

mod answer;
mod audit;
mod bodies;
mod call;
mod course;
mod errors;
mod etag;
mod events;
mod exchange;
mod explain;
mod figures;
mod grants;
mod health;
mod history;
mod input;
mod keys;
mod made;
mod me;
mod metrics;
mod openapi;
mod page;
mod params;
mod picks;
mod problem;
mod profiles;
mod record;
mod reload;
mod repeat;
mod reply;
mod router;
mod rpc;
mod schema;
mod seal;
mod seat;
mod secrets;
mod seen;
mod serve;
mod sessions;
mod shapes;
mod stats;
mod stream;
mod tenants;
mod token;
mod tool_call;
mod tools;
mod trail;
mod upstreams;

pub use router::{Row, surface};
pub use serve::{Api, Parts, Place, Side};
pub use stream::ApiBody;
