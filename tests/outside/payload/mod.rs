//! What requests and results hold on their way through the running proxy: content for older
//! clients, apps, skills, `_meta`, and peers with quirks. Each against scripted upstreams.

mod apps;
mod content;
mod large;
mod meta;
mod peer;
mod quirks;
mod skills;
mod upstream;
