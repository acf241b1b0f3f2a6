"""Walks a plan with a client of either SDK line; plan and report are those of plan.mjs."""
import asyncio
import json
import os
import pathlib
import signal
import sys

URL, ERA = sys.argv[1:3]
LIVE = sys.argv[3] == "-"
PLAN = [] if LIVE else json.loads(sys.argv[3])
HEADERS = {"Authorization": f"Bearer {os.environ['MCP_KEY']}"} if os.environ.get("MCP_KEY") else {}

# What is started instead of connecting to a URL.
PROGRAM = json.loads(os.environ.get("MCP_PROGRAM", "[]"))
ENV = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
ENV |= {name: os.environ["MCP_KEY"] for name in ("MCP_PROXY_KEY", "TEST_KEY") if "MCP_KEY" in os.environ}


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class Person:
    """Who is asked: what there is to say, what was asked, and how the call is given up."""

    say, asked, progress, leave, call = {}, [], [], None, None

    async def answer(self, method, params, made):
        """`made` is the model of the SDK for the answer."""
        params = params and plain(params)
        self.asked.append({"method": method, "params": params, "after": len(self.progress)})
        if self.leave == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.leave:
            self.call.cancel()
            await asyncio.Event().wait()
        return made.model_validate(self.say[method])

    async def told(self, progress, total, message):
        self.progress.append(progress)

    async def talk(self, step, call):
        """Makes a call with somebody there who can be asked."""
        self.say, self.asked, self.progress, self.leave = step["say"], [], [], step.get("leave")
        self.call = asyncio.ensure_future(call(step["call"], step.get("arguments", {}), progress_callback=self.told))
        try:
            return await self.call
        except asyncio.CancelledError:
            raise RuntimeError("given up") from None
        finally:
            self.leave = None


PERSON = Person()


def handlers(types):
    """What a client that can be asked gives to its SDK; nothing where nobody says anything."""
    if not any("say" in step for step in PLAN):
        return {}

    async def elicit(context, params):
        return await PERSON.answer("elicitation/create", params, types.ElicitResult)

    async def sample(context, params):
        made = types.CreateMessageResultWithTools if params.tools else types.CreateMessageResult
        return await PERSON.answer("sampling/createMessage", params, made)

    async def roots(context):
        return await PERSON.answer("roots/list", None, types.ListRootsResult)

    tools = types.SamplingCapability(tools=types.SamplingToolsCapability())
    return {
        "elicitation_callback": elicit,
        "sampling_callback": sample,
        "list_roots_callback": roots,
        "sampling_capabilities": tools,
    }


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
    for step in PLAN:
        yield step
    while LIVE and (line := await asyncio.to_thread(sys.stdin.readline)):
        yield json.loads(line)


def live(outcome):
    if LIVE:
        print(json.dumps(outcome), flush=True)


async def walk(take, protocol):
    steps = []
    live({"connected": protocol})
    async for step in planned():
        try:
            result = await (until(step["until"]) if "until" in step else take(step))
            outcome = {"ok": True, "result": result if isinstance(result, dict) else plain(result)}
        except Exception as error:  # a failed step is part of the report
            code = getattr(getattr(error, "error", error), "code", None)
            outcome = {"ok": False, "error": str(error), "code": code}
        if "say" in step:
            outcome |= {"asked": PERSON.asked, "progress": PERSON.progress}
        steps.append(outcome)
        live({"step": len(steps)} | outcome)
    return steps


def report(protocol, server, steps):
    print(json.dumps({"protocol": protocol, "server": server and plain(server), "steps": steps}))


def failed(error):
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    print(json.dumps({"failed": str(error) or repr(error)}))
    sys.exit(1)
