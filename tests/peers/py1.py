"""A client on the Python SDK 1.x, which knows the revisions with initialize. See plan.mjs."""
import asyncio
import contextlib
import urllib.parse

import httpx
import mcp.types
from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import PromptReference, ResourceTemplateReference
from pydantic import AnyUrl

import plan


def steps_of(session):
    lists = {
        "tools": (session.list_tools, "tools"),
        "prompts": (session.list_prompts, "prompts"),
        "resources": (session.list_resources, "resources"),
        "templates": (session.list_resource_templates, "resourceTemplates"),
    }

    async def take(step):
        if "list" in step:
            return await plan.everything(*lists[step["list"]])
        if "say" in step:
            return await plan.PERSON.talk(step, session.call_tool)
        if "call" in step:
            return await session.call_tool(step["call"], step.get("arguments", {}))
        if "read" in step:
            return await session.read_resource(AnyUrl(step["read"]))
        if "prompt" in step:
            return await session.get_prompt(step["prompt"], step.get("arguments"))
        ref = step["complete"]["ref"]
        kind = PromptReference if ref["type"] == "ref/prompt" else ResourceTemplateReference
        return await session.complete(kind(**ref), step["complete"]["argument"])

    return take


@contextlib.asynccontextmanager
async def streamable():
    async with httpx.AsyncClient(headers=plan.HEADERS, timeout=30) as http:
        async with streamable_http_client(plan.URL, http_client=http) as streams:
            yield streams


def transport():
    if plan.PROGRAM:
        command, *args = plan.PROGRAM
        return stdio_client(StdioServerParameters(command=command, args=args, env=plan.ENV))
    if urllib.parse.urlsplit(plan.URL).path.split("/")[1] == "sse":
        return sse_client(plan.URL, headers=plan.HEADERS)
    return streamable()


async def main():
    if plan.ERA != "legacy":
        raise ValueError(f"this SDK does not know the era {plan.ERA}")
    async with transport() as (read, write, *_):
        async with ClientSession(read, write, **plan.handlers(mcp.types)) as session:
            hello = await session.initialize()
            steps = await plan.walk(steps_of(session), hello.protocolVersion)
            plan.report(hello.protocolVersion, hello.serverInfo, steps)


try:
    asyncio.run(main())
except Exception as error:
    plan.failed(error)
