//! `POST /api/v1/tools/{name}/call`: a call of a tool with its result for an answer, or with what
//! is said in its course as server-sent events.

use std::sync::Arc;

use super::call::Call;
use super::course::{Wanted, carry_out, level, limit, unnamed};
use super::input::{CallInput, read};
use super::params::Params;
use super::problem::Problem;
use super::router::Answering;
use super::serve::Api;
use super::tools::{go_to_door, posting};
use crate::pipeline::Posting;
use crate::wire::NameKind;

pub(super) fn call(api: Arc<Api>, call: Call) -> Answering {
    Box::pin(async move {
        let mut posting = posting(&call)?;
        let wanted = read_call(&api, &call, &mut posting);
        carry_out(&api, &call, posting, wanted).await
    })
}

fn read_call(api: &Api, call: &Call, posting: &mut Posting) -> Result<Wanted, Problem> {
    go_to_door(api, call, posting)?;
    unnamed(call)?;
    let input: CallInput = read(&call.body)?;
    Ok(Wanted {
        method: NameKind::Tool.method(),
        params: Params::of_tool(call.part(0), input.arguments.as_deref()),
        level: input.log_level.as_deref().map(level).transpose()?,
        limit: input.timeout.as_deref().map(limit).transpose()?,
    })
}
