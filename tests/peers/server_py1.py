"""A server that asks, on the Python SDK 1.x, with the helpers that this SDK has for it.

  python server_py1.py         speaks over its pipes
  python server_py1.py PORT    prints `listening on http://…/mcp`
"""
import sys

import anyio
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, Tool, ToolChoice

import asking
from asking import RECORD, plain, text

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 0
server = FastMCP("server_py1", host="127.0.0.1", port=PORT, log_level="WARNING")


def form(tag, context):
    return context.session.elicit_form(asking.who(tag), asking.SCHEMA, related_request_id=context.request_id)


def sampling(tag, context, **more):
    messages = [SamplingMessage(**message) for message in asking.messages(tag)]
    return context.session.create_message(
        messages, max_tokens=asking.MAX_TOKENS, related_request_id=context.request_id, **more
    )


@server.tool()
async def ask_form(tag: str, context: Context) -> str:
    return text(plain(await form(tag, context)))


@server.tool()
async def ask_url(tag: str, context: Context) -> str:
    answer = await context.session.elicit_url(
        **asking.visit(tag), elicitation_id=tag, related_request_id=context.request_id
    )
    return text(plain(answer))


@server.tool()
async def sample(tag: str, context: Context) -> str:
    return text(plain(await sampling(tag, context)))


@server.tool()
async def sample_with_tools(tag: str, context: Context) -> str:
    tools = [Tool(**tool) for tool in asking.tools(tag)]
    return text(plain(await sampling(tag, context, tools=tools, tool_choice=ToolChoice(mode="auto"))))


@server.tool()
async def roots(tag: str, context: Context) -> str:
    # This SDK cannot relate it to the call; over HTTP it goes on the stream of its own.
    return text(plain(await context.session.list_roots()))


@server.tool()
async def two_questions(tag: str, context: Context) -> str:
    told = {}

    async def keep(name, question):
        told[name] = plain(await question)

    async with anyio.create_task_group() as both:
        both.start_soon(keep, "who", form(tag, context))
        both.start_soon(keep, "said", sampling(tag, context))
    return text(told)


@server.tool()
async def two_rounds(tag: str, context: Context) -> str:
    first = plain(await form(tag, context))
    return text({"first": first, "second": plain(await form(f"{tag} again", context))})


@server.tool()
async def after_progress(tag: str, context: Context) -> str:
    for step in range(3):
        await context.report_progress(step + 1, 3)
    return text(plain(await form(tag, context)))


@server.tool()
async def slow_ask(tag: str, context: Context) -> str:
    RECORD["asked"].append(tag)
    try:
        answer = await form(tag, context)
    except anyio.get_cancelled_exc_class():
        RECORD["cancelled"].append(tag)
        raise
    RECORD["answered"].append(tag)
    return text(plain(answer))


@server.tool()
async def record(tag: str) -> str:
    return text(RECORD)


if PORT:
    print(f"listening on http://127.0.0.1:{PORT}/mcp", flush=True)
server.run(transport="streamable-http" if PORT else "stdio")
