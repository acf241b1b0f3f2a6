//! `POST /api/v1/upstreams/{name}/rpc`: any request of MCP to one upstream, as `/mcp/{upstream}`
//! takes it, with its result for an answer.

use std::sync::Arc;

use super::call::Call;
use super::course::{Wanted, carry_out, level, limit, unnamed};
use super::input::{RpcInput, read};
use super::params::Params;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use super::tools::{go_to, posting};
use crate::base::{Fault, Kind};
use crate::pipeline::Posting;
use crate::wire::{Called, Method, Route, methods};

pub(super) fn call(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let mut posting = posting(&call)?;
        let wanted = read_request(&api, &call, &mut posting);
        carry_out(&api, &call, posting, wanted).await
    })
}

fn read_request(api: &Api, call: &Call, posting: &mut Posting) -> Result<Wanted, Problem> {
    go_to(api, posting, &format!("/mcp/{}", call.part(0)), "upstream")?;
    unnamed(call)?;
    let input: RpcInput = read(&call.body)?;
    let params = input.params.as_deref().map(|params| Params::read(params.get())).transpose()?;
    Ok(Wanted {
        method: served(&input.method)?,
        params: params.unwrap_or_default(),
        level: input.log_level.as_deref().map(level).transpose()?,
        limit: input.timeout.as_deref().map(limit).transpose()?,
    })
}

/// The row of a method that has its result in one answer.
fn served(name: &str) -> Result<&'static Method, Problem> {
    let found = Called::find(name);
    let what = match &found {
        Called::Known(method) if fits(method) => return Ok(*method),
        Called::Known(method) => why(method).to_owned(),
        Called::Unknown(_) => {
            let all: Vec<&str> =
                methods().iter().filter(|row| fits(row)).map(|row| row.name).collect();
            format!("is no method of MCP; there are {}", all.join(", "))
        }
    };
    let words = format!("`{}` {what}", found.name());
    Err(Fault::client(Kind::UnknownMethod, words).into())
}

fn fits(method: &Method) -> bool {
    let goes_on =
        matches!(method.route, Route::Notification | Route::Listen | Route::Subscribe { .. });
    method.modern && !goes_on
}

/// Why a method of MCP is none of this route.
fn why(method: &Method) -> &'static str {
    match method.route {
        Route::Notification => "is a notification and has no result; this route takes requests",
        Route::Listen | Route::Subscribe { .. } => {
            "asks for news, and this route gives one answer; `GET /api/v1/events` tells what happens, \
             and MCP at `/mcp/{upstream}` takes subscriptions"
        }
        Route::Local => {
            "is about a session, and here is none: each request stands alone; send the one that \
             you mean"
        }
        _ => "is of an older revision than this route speaks, which is 2026-07-28",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_served_or_it_is_said_why_not() {
        for row in methods() {
            match served(row.name) {
                Ok(found) => assert!(std::ptr::eq(found, row) && fits(row), "{}", row.name),
                Err(problem) => assert!(problem.to_string().contains(row.name), "{}", row.name),
            }
        }
        let unknown = served("nothing").err().map(|problem| problem.to_string());
        let unknown = unknown.unwrap_or_default();
        assert!(
            unknown.starts_with("`nothing` is no method of MCP; there are tools/"),
            "{unknown}"
        );
    }
}
