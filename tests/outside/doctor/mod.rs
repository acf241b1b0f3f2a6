//! `doctor` beside a proxy behind a small TLS reverse proxy of another name: what is broken in
//! between or on the machine is named (`broken`), what the clients do works (`clients`); and what
//! `connect` and `import` write and read (`files`).

mod broken;
mod clients;
mod files;
mod front;
