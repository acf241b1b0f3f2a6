"""An SSE server (2024-11-05) on the Python SDK 1.x. Prints the line `listening on http://…/sse`.

  python server_sse.py PORT
"""
import sys

import anyio
from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("sse", host="127.0.0.1", port=int(sys.argv[1]), log_level="WARNING")


@server.tool()
async def echo(text: str) -> str:
    """Gives the text back."""
    return text


@server.tool()
async def count(to: int, context: Context) -> str:
    """Counts aloud."""
    for step in range(to):
        await context.report_progress(step + 1, to)
    return str(to)


@server.tool()
async def slow(seconds: float) -> str:
    """Takes its time."""
    await anyio.sleep(seconds)
    return "done"


@server.resource("note://one")
def note() -> str:
    return "a note"


@server.prompt()
def greet(name: str) -> str:
    return f"Greet {name}"


print(f"listening on http://127.0.0.1:{sys.argv[1]}/sse", flush=True)
server.run(transport="sse")
