"""A client on the Python SDK 2.x: ERA is legacy, auto, or the revision to pin. See plan.mjs."""
import asyncio

import httpx2
import mcp_types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import PromptReference, ResourceTemplateReference

import plan


def steps_of(client):
    def listing(method):
        return lambda cursor: method(cursor=cursor)

    lists = {
        "tools": (listing(client.list_tools), "tools"),
        "prompts": (listing(client.list_prompts), "prompts"),
        "resources": (listing(client.list_resources), "resources"),
        "templates": (listing(client.list_resource_templates), "resourceTemplates"),
    }

    async def take(step):
        if "list" in step:
            return await plan.everything(*lists[step["list"]])
        if "say" in step:
            return await plan.PERSON.talk(step, client.call_tool)
        if "call" in step:
            return await client.call_tool(step["call"], step.get("arguments", {}))
        if "read" in step:
            return await client.read_resource(step["read"])
        if "prompt" in step:
            return await client.get_prompt(step["prompt"], step.get("arguments"))
        ref = step["complete"]["ref"]
        kind = PromptReference if ref["type"] == "ref/prompt" else ResourceTemplateReference
        return await client.complete(kind(**ref), step["complete"]["argument"])

    return take


async def main():
    async with httpx2.AsyncClient(headers=plan.HEADERS, timeout=30) as http:
        if plan.PROGRAM:
            command, *args = plan.PROGRAM
            transport = stdio_client(StdioServerParameters(command=command, args=args, env=plan.ENV))
        else:
            transport = streamable_http_client(plan.URL, http_client=http)
        async with Client(transport, mode=plan.ERA, **plan.handlers(mcp_types)) as client:
            steps = await plan.walk(steps_of(client), client.protocol_version)
            plan.report(client.protocol_version, client.server_info, steps)


try:
    asyncio.run(main())
except Exception as error:
    plan.failed(error)
