//! Many MCP servers behind one URL, for many tenants: one binary and one TOML file.
//!
//! A client proves who it is with a key. The proxy finds the tenant, opens that tenant's own sealed
//! credentials, and takes each request to the upstream server that owns what it names. On that way
//! only the envelope is read (method, id, routed name or URI, `_meta`); names and ids are spliced,
//! all else passes byte for byte, whichever revision of the protocol either side speaks. Lists are
//! merged and served from memory; a slow or dead upstream costs only its own entries.
//!
//! # The line that a request takes
//!
//! ```text
//!  there   server/listen → server/connection   accepts; limits time, head, connections
//!    │     server/door → auth/guard            Host, Origin, path, size
//!    │     auth/check                          key                    → Principal
//!    │     server/door                         reads the body         → Posting
//!    │     pipeline/serve → wire/request       envelope and era       → Letter
//!    │       ├ pipeline/modern                 2026-07-28: _meta and headers, discover, listen
//!    │       └ pipeline/legacy                 before: initialize, session/table, DELETE
//!    │             ├ pipeline/list             lists, from pipeline/tenant, read by pipeline/refresh
//!    │             ├ pipeline/listen, outlet   subscriptions and the streams for them
//!    │             └ pipeline/call             everything that has one owner:
//!    │     namespace/view                      name → owner           → Plan
//!    │     policy/engine                       what rules let pass    → Permit
//!    │     pipeline/admit → limit              rates, quotas, a place → Admitted
//!    │     credential/arm                      opens and injects      → Armed
//!    │     pipeline/links → upstream/pool      one live connection    → Lease
//!    ▼     pipeline/compose                    splices the request    → Outgoing
//!  upstream   upstream/http or upstream/stdio  → one Message, many, or bytes as they come
//!    │     pipeline/relay → pipeline/result    id, token, URIs, words of the caller's era; large ones in pipeline/sieve
//!    │             ├ pipeline/talk → bridge    questions and notifications before the answer
//!    │             ├ pipeline/task → bridge    calls that become tasks, and what is asked of them
//!    │             └ namespace/rewrite         the way back of names
//!    ▼     pipeline/finish → audit             record, count, spans, log line, on every exit
//!  back    server/reply → server/body          Answer or Fault → HTTP, per era
//! ```
//!
//! Beside `server/door` stand the doors where an answer is no body of one HTTP reply: `server/batch`
//! (2025-03-26), `server/sse` (2024-11-05) and `server/pipe` (`mcp-proxy stdio`, which `app/pipe`
//! builds without a listener). Each takes what the line gives apart with `server/message`; the last two keep a
//! `server/conversation`. `server/connector` is for clients that only do OAuth; [`connect`] makes their tokens. `/api/v1` is
//! [`admin`], whose routes stand in `admin/router`; `admin/exchange` takes requests over plain HTTP into the same line.
//!
//! Start reading at [`pipeline::Line::serve`]. Each stage gives a value that only it can make, and
//! the next one asks for it: [`auth::Principal`], [`namespace::Plan`], [`policy::Permit`],
//! [`credential::Armed`], [`upstream::Lease`]. No stage calls the next; `pipeline` does.
//!
//! # Another file while it runs
//!
//! `app/reload` reads it (on SIGHUP, on a change that `app/stamp` sees, or when `admin/reload` asks
//! through [`config::Reload`]) and does everything that can fail. [`config::succeed`] says what is different;
//! an entry that says the same stays the very same value, so that whoever holds it has nothing to
//! do. `pipeline/change` puts the rest in place: new shelves, with the policy that views of them are
//! made by, no old views, links that serve nobody new and end when their calls have
//! ([`upstream::Pool::retire_where`]).
//!
//! # Who knows whom
//!
//! | tier | modules | what they are |
//! |---|---|---|
//! | 0 | [`base`] | words that everybody may say: names, ids, secrets, faults, clock, tasks |
//! | 1 | [`wire`], [`seal`], [`egress`], [`config`], [`demo`] | MCP as data; sealed values; the way out to strangers; the file; the built-in server |
//! | 2 | [`store`], [`telemetry`] | what changes while it runs; the log, numbers, traces |
//! | 3 | [`auth`], [`namespace`], [`policy`], [`limit`], [`credential`], [`upstream`], [`session`], [`bridge`], [`audit`] | the stages, the memory of sessions, what lies between the eras, what was decided |
//! | 4 | [`pipeline`] | the line |
//! | 5 | [`server`], [`admin`], [`connect`] | the doors; the API for whoever looks after tenants; our OAuth server and its pages |
//! | 6 | [`app`] | puts everything together, runs it through its phases |
//! | 7 | [`cli`] | what a person types |
//!
//! A module knows lower tiers only (`a_module_knows_lower_tiers_only`); the edges within a tier are
//! `credential` → `auth`, `credential` → [`policy::Permit`], and `policy` → `namespace`.
//!
//! # What is absent, and which tests hold it
//!
//! - Strangers never reach the JSON parser (`the_parser_reads_only_what_a_principal_posted`,
//!   `a_stranger_always_gets_the_same_refusal`).
//! - Nothing reaches an upstream without [`credential::Armed`], which only `credential` makes
//!   (`links_are_opened_by_the_holder_of_the_credentials_only`, `evidence_is_made_by_its_own_module_only`).
//! - [`server`] does not know what a tenant is (`server_does_not_know_what_a_tenant_is`); [`store`]
//!   sees no plaintext (`store_never_sees_plaintext`, `no_form_of_a_secret_lies_in_the_store`); [`wire`]
//!   does no I/O and has no clock (`wire_does_no_io_and_has_no_clock`).
//! - Only `base/tasks` spawns, only `base/clock` tells the time, only `config/load`, `cli` and the
//!   hidden subcommand read the environment, no queue is without a bound, and each foreign crate
//!   has one home (`what_is_fenced_stays_inside`).
//! - Only `server/reply` and `admin/reply` speak error codes to clients (`only_the_reply_speaks_error_codes`), and what
//!   only the log may read is in no reply (`what_the_log_may_read_never_reaches_the_client`).
//! - The names of methods stand in one table but for a few (`method_names_stand_in_one_table`).
//! - What passes is what was sent, byte for byte outside the envelope
//!   (`what_a_client_and_an_upstream_say_passes_as_it_was_written`); who was promised news hears
//!   all of it, once (`legacy_clients_hear_everything_of_a_modern_upstream`).
//! - What a list shows can be called, nothing else (`for_random_policies_listed_is_callable_over_mcp_and_rest`).
//! - A session or a sealed row of another tenant is an unknown one
//!   (`another_tenants_session_is_an_unknown_one`, `swapped_rows_are_refused_and_others_go_on`).
//! - A `requestState` that was changed, is another's, or comes twice executes nothing (`a_state_that_was_changed_or_is_anothers_executes_nothing`),
//!   and no question reaches another caller (`no_question_reaches_another_caller`).
//! - After a kill what has ended stays ended (`what_has_ended_stays_ended`), what lives goes on
//!   without its client doing anything (`idle_clients_go_on_after_each_kill`), and no call has run
//!   twice (`kills_cost_the_calls_in_flight_and_nothing_runs_twice`).
//! - An event id of another tenant is an unknown one, and nobody hears of another tenant
//!   (`an_id_leads_on_from_where_it_was_and_is_its_tenants_own`, `what_happens_is_told_to_whom_it_concerns`).
//! - Another's task is an unknown one, and nobody gets one undeclared (`another_s_task_is_an_unknown_one`, `tasks_are_for_those_who_declare_them`).
//! - A new file costs no call that it does not concern, and a wrong one changes nothing
//!   (`reloads_under_load_cost_no_call`, `a_broken_file_is_refused_and_the_old_one_runs_on`).
//! - A value of a secret is in no log, no error and no file (`no_secret_is_left_anywhere`).
//! - A command does the same at a running proxy as on the store (`writing_says_the_same_both_ways`), and the
//!   socket by which it finds one is no right (`the_socket_alone_is_no_right`).
//! - A revoked key opens nothing a second later (`what_a_revoked_key_has_open_ends_and_nothing_begins`), nor does what came of it (`a_client_logs_in_works_refreshes_outlives_a_restart_and_ends_with_its_key`).
//! - What the API has acknowledged outlives a kill (`what_was_acknowledged_is_there_after_a_kill`).
//! - No request ends without its record (`each_request_leaves_one_record_that_says_what_came_of_it`), and
//!   no change of one goes unseen (`one_byte_changed_is_found_where_it_stands`).
//! - No hostile input panics (`malformed_bodies_get_the_answers_of_the_table`, `any_text_is_answered`,
//!   `agrees_with_serde_json_on_fragments`, `cuts_change_nothing`).
//! - Each route and each method answers as its table says (`every_route_answers_every_caller_as_the_table_says`,
//!   `every_method_of_mcp_answers_every_caller_as_the_table_says`).
//! - No process of ours outlives us (`two_hundred_kills_leave_nothing`, `a_killed_proxy_leaves_nothing`).
//!
//! # Where things live
//!
//! | wish | place |
//! |---|---|
//! | a method of the protocol | one row of the table behind [`wire::methods`] |
//! | a transport to upstreams | a folder beside `upstream/http`, and an arm in `pipeline/links` |
//! | a rule about what is shown | `config/rules`, `config/check/rules`, `policy/judge` |
//! | how names are made, and made back | `namespace/name`, `namespace/uri` |
//! | a door of another shape | a file in `server`, on `server/conversation` or `server/message` |
//! | a limit | `config/limit`, `limit/bucket`, and `pipeline/admit` that words its refusal |
//! | a key of the file | `config/file`, `config/check`, [`config::Config`], `mcp-proxy.toml`; `config/diff` says what its change means |
//! | a place for secrets | `credential/render`, and `config/check` that allows it |
//! | a route of the API | one row of `admin/router`, and a file for its noun |
//! | words and codes of a refusal | a [`base::Kind`], and `server/reply` |
//! | a column or a table | `store/sqlite/migrations`, a trait of [`store`], `store/contract` |
//! | what a session keeps over a restart | `session/ledger`, sealed by `session/table` |
//! | an event that is told | `admin/events`, from a broadcast where it happens |
//! | why something failed, in one word | [`base::Kind`], `upstream/link`; `pipeline/troubles` counts it |
//! | a number of `/metrics` | `telemetry/metrics`, what is held at a moment in `pipeline/gauges` |
//! | a command | a file of its own in `cli` |
//!
//! # Where this house departs from its plan, and why
//!
//! - The line is several small files and not one function: what a list, a stream and a call need
//!   has little in common. `pipeline/call` is the plan's function, for what has one owner.
//! - The era is settled after the body is read: its `_meta` decides, the head where it cannot be read.
//! - [`wire::json`] is a strict reader of our own: one pass must give positions for splicing and see
//!   doubled keys, and no reader at hand does both. Property tests hold it to `serde_json`.
//! - [`demo`] uses the SDK's server; the call path never does. Only the cold doors are axum's. No fuzz targets yet.
//! - Time limits of headers (`server/connection`) and connections to upstreams
//!   (`upstream/http/connection`) are our own: hyper's cut idle connections, and wake-ups cost a third.

pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod base;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod connect;
pub mod credential;
pub mod demo;
pub mod egress;
pub mod limit;
pub mod namespace;
pub mod pipeline;
pub mod policy;
pub mod seal;
pub mod server;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod wire;
