"""Walks a plan with a client of either SDK line; plan and report are those of plan.mjs."""
import asyncio
import json
import os
import pathlib
import sys

URL, ERA, PLAN = sys.argv[1:4]
HEADERS = {"Authorization": f"Bearer {os.environ['MCP_KEY']}"} if os.environ.get("MCP_KEY") else {}

# What is started instead of connecting to a URL.
PROGRAM = json.loads(os.environ.get("MCP_PROGRAM", "[]"))
ENV = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
ENV |= {name: os.environ["MCP_KEY"] for name in ("MCP_PROXY_KEY", "TEST_KEY") if "MCP_KEY" in os.environ}


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def everything(listing, field):
    """All pages of a list. `listing` takes a cursor."""
    found, cursor = [], None
    while True:
        page = plain(await listing(cursor))
        found += page[field]
        cursor = page.get("nextCursor")
        if cursor is None:
            return {field: found}


async def until(file):
    pathlib.Path(file + ".reached").touch()
    while not os.path.exists(file):
        await asyncio.sleep(0.02)
    return {}


async def planned():
    for step in [] if PLAN == "-" else json.loads(PLAN):
        yield step
    while PLAN == "-" and (line := await asyncio.to_thread(sys.stdin.readline)):
        yield json.loads(line)


def live(outcome):
    if PLAN == "-":
        print(json.dumps(outcome), flush=True)


async def walk(take, protocol):
    steps = []
    live({"connected": protocol})
    async for step in planned():
        try:
            result = await (until(step["until"]) if "until" in step else take(step))
            steps.append({"ok": True, "result": result if isinstance(result, dict) else plain(result)})
        except Exception as error:  # a failed step is part of the report
            code = getattr(getattr(error, "error", error), "code", None)
            steps.append({"ok": False, "error": str(error), "code": code})
        live({"step": len(steps)} | steps[-1])
    return steps


def report(protocol, server, steps):
    print(json.dumps({"protocol": protocol, "server": server and plain(server), "steps": steps}))


def failed(error):
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    print(json.dumps({"failed": str(error) or repr(error)}))
    sys.exit(1)
