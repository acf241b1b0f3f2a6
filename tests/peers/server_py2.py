"""A server that asks, on the Python SDK 2.x: in the newer era its tools give back what they need, in
the older one they send it, each with what this SDK has for it.

  python server_py2.py         speaks over its pipes, either era
  python server_py2.py PORT    prints `listening on http://…/mcp`, either era
"""
import json
import sys
import warnings

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    InputRequiredResult,
    ListRootsRequest,
)

import asking
from asking import RECORD, plain, text

warnings.simplefilter("ignore", MCPDeprecationWarning)
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 0
server = MCPServer("server_py2", log_level="WARNING")


def modern(context):
    return context.protocol_version >= "2026-07-28"


def form(tag):
    return ElicitRequest(params=ElicitRequestFormParams(message=asking.who(tag), requested_schema=asking.SCHEMA))


def sampling(tag, **more):
    params = {"messages": asking.messages(tag), "maxTokens": asking.MAX_TOKENS, **more}
    return CreateMessageRequest(params=CreateMessageRequestParams.model_validate(params))


async def send(question, tag, context):
    """Asks in the older era."""
    session, related = context.session, {"related_request_id": context.request_id}
    params = question.params
    if isinstance(question, ListRootsRequest):
        return plain(await session.list_roots())
    if isinstance(question, CreateMessageRequest):
        more = {"tools": params.tools, "tool_choice": params.tool_choice} if params.tools else {}
        return plain(await session.create_message(params.messages, max_tokens=params.max_tokens, **more, **related))
    if isinstance(params, ElicitRequestURLParams):
        return plain(await session.elicit_url(params.message, params.url, tag, **related))
    return plain(await session.elicit_form(params.message, params.requested_schema, **related))


async def ask(questions, tag, context):
    """All the answers by their names, or in the newer era what is needed first."""
    if modern(context):
        if context.input_responses is None:
            return InputRequiredResult(input_requests=questions)
        return {name: plain(answer) for name, answer in context.input_responses.items()}
    told = {}

    async def keep(name, question):
        told[name] = await send(question, tag, context)

    async with anyio.create_task_group() as all_of_them:
        for name, question in questions.items():
            all_of_them.start_soon(keep, name, question)
    return told


async def one(question, tag, context):
    told = await ask({"q": question}, tag, context)
    return told if isinstance(told, InputRequiredResult) else text(told["q"])


@server.tool()
async def ask_form(tag: str, context: Context) -> str | InputRequiredResult:
    return await one(form(tag), tag, context)


@server.tool()
async def ask_url(tag: str, context: Context) -> str | InputRequiredResult:
    return await one(ElicitRequest(params=ElicitRequestURLParams(**asking.visit(tag))), tag, context)


@server.tool()
async def sample(tag: str, context: Context) -> str | InputRequiredResult:
    return await one(sampling(tag), tag, context)


@server.tool()
async def sample_with_tools(tag: str, context: Context) -> str | InputRequiredResult:
    return await one(sampling(tag, tools=asking.tools(tag), toolChoice={"mode": "auto"}), tag, context)


@server.tool()
async def roots(tag: str, context: Context) -> str | InputRequiredResult:
    return await one(ListRootsRequest(), tag, context)


@server.tool()
async def two_questions(tag: str, context: Context) -> str | InputRequiredResult:
    told = await ask({"who": form(tag), "said": sampling(tag)}, tag, context)
    return told if isinstance(told, InputRequiredResult) else text(told)


@server.tool()
async def two_rounds(tag: str, context: Context) -> str | InputRequiredResult:
    again = form(f"{tag} again")
    if not modern(context):
        first = await send(form(tag), tag, context)
        return text({"first": first, "second": await send(again, tag, context)})
    if context.input_responses is None:
        return InputRequiredResult(input_requests={"q": form(tag)})
    answer = plain(context.input_responses["q"])
    if context.request_state is None:
        return InputRequiredResult(input_requests={"q": again}, request_state=json.dumps(answer))
    return text({"first": json.loads(context.request_state), "second": answer})


@server.tool()
async def after_progress(tag: str, context: Context) -> str | InputRequiredResult:
    if context.input_responses is None:
        for step in range(3):
            await context.report_progress(step + 1, 3)
    return await one(form(tag), tag, context)


@server.tool()
async def slow_ask(tag: str, context: Context) -> str | InputRequiredResult:
    if context.input_responses is None:
        RECORD["asked"].append(tag)
    try:
        answer = await one(form(tag), tag, context)
    except anyio.get_cancelled_exc_class():
        RECORD["cancelled"].append(tag)
        raise
    if not isinstance(answer, InputRequiredResult):
        RECORD["answered"].append(tag)
    return answer


@server.tool()
async def record(tag: str) -> str:
    return text(RECORD)


if PORT:
    print(f"listening on http://127.0.0.1:{PORT}/mcp", flush=True)
    server.run("streamable-http", host="127.0.0.1", port=PORT)
else:
    server.run()
