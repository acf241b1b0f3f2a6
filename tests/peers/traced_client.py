"""A client on the Python SDK 2.x with the OpenTelemetry SDK: calls a tool within a span of its own.

  python traced_client.py URL ERA TOOL
"""
import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import traced

URL, ERA, TOOL = sys.argv[1:]


async def main(tracer):
    headers = {"Authorization": f"Bearer {os.environ['MCP_KEY']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        async with Client(streamable_http_client(URL, http_client=http), mode=ERA) as client:
            with tracer.start_as_current_span("the wish"):
                result = await client.call_tool(TOOL, {})
            print(result.content[0].text, flush=True)


asyncio.run(main(traced.begin("client")))
