"""A server on the Python SDK 2.x with the OpenTelemetry SDK, over its pipes. Its one tool is `see`."""
from mcp.server.mcpserver import MCPServer

import traced

traced.begin("upstream")
server = MCPServer("traced", log_level="WARNING")


@server.tool()
def see() -> str:
    return "seen"


server.run("stdio")
