"""A client that does OAuth with the code of the official Python SDK: python1 (1.x) or python2 (2.x).

connector.py CLIENT ERA URL STATE PHASE     DOCUMENT is the URL of its client document, if it has one
"""
import asyncio
import json
import os
import pathlib
import random
import subprocess
import sys
import urllib.parse

from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

client, era, url, place, phase = sys.argv[1:]
place = pathlib.Path(place)
state = json.loads(place.read_text()) if place.exists() else {}
state.setdefault("callback", f"http://127.0.0.1:{random.randint(20_000, 40_000)}/callback")


class Refused(Exception):
    """A person would have to sign in again."""


def keep(name, value):
    state[name] = value
    place.write_text(json.dumps(state))


class Storage(TokenStorage):
    async def get_tokens(self):
        return OAuthToken.model_validate(state["tokens"]) if "tokens" in state else None

    async def set_tokens(self, tokens):
        keep("tokens", tokens.model_dump(mode="json", exclude_none=True))

    async def get_client_info(self):
        return OAuthClientInformationFull.model_validate(state["client"]) if "client" in state else None

    async def set_client_info(self, client_info):
        keep("client", client_info.model_dump(mode="json", exclude_none=True))


led = {}


async def go_to(where):
    if phase != "login":
        raise Refused
    done = await asyncio.to_thread(
        subprocess.run, ["node", "browser.mjs", where], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    led.update(urllib.parse.parse_qsl(urllib.parse.urlsplit(done.stdout.strip()).query))


async def come_back():
    if client == "python1":
        return led["code"], led.get("state")
    from mcp.client.auth import AuthorizationCodeResult
    return AuthorizationCodeResult(code=led["code"], state=led.get("state"), iss=led.get("iss"))


async def echo(auth, list_tools, call_tool):
    tools = []
    for _ in range(50):
        tools = (await list_tools()).tools
        if tools:
            break
        await asyncio.sleep(0.2)
    name = next(tool.name for tool in tools if tool.name == "demo__echo")
    said = await call_tool(name, {"text": "hello"})
    if phase == "login":
        # This SDK refreshes what it has got itself; of what another process has left it knows no end.
        before = state["tokens"]["refresh_token"]
        auth.context.token_expiry_time = 1.0
        said = await call_tool(name, {"text": "hello"})
        keep("refreshed", state["tokens"]["refresh_token"] != before)
    return f"{name}: {said.content[0].text}"


async def work():
    metadata = OAuthClientMetadata(
        client_name=f"App on {client}", redirect_uris=[state["callback"]], token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"], response_types=["code"])
    auth = OAuthClientProvider(
        server_url=url, client_metadata=metadata, storage=Storage(), redirect_handler=go_to,
        callback_handler=come_back, client_metadata_url=os.environ.get("DOCUMENT") or None)
    if client == "python1":
        import httpx
        from mcp import ClientSession
        async with httpx.AsyncClient(auth=auth, timeout=60) as web:
            async with streamable_http_client(url, http_client=web) as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    return await echo(auth, session.list_tools, session.call_tool)
    import httpx2
    from mcp import Client
    async with httpx2.AsyncClient(auth=auth, timeout=60) as web:
        async with Client(streamable_http_client(url, http_client=web), mode=era) as session:
            return await echo(auth, session.list_tools, session.call_tool)


def roots(error):
    if isinstance(error, BaseExceptionGroup):
        return [root for inner in error.exceptions for root in roots(inner)]
    return [error, *([error.__cause__] if error.__cause__ else [])]


def main():
    try:
        said = asyncio.run(work())
    except BaseException as error:
        if phase == "again" and any(isinstance(root, Refused) for root in roots(error)):
            print("refused")
            return
        raise
    print(f"{said}, refreshed" if phase == "refresh" and state.get("refreshed") else said)


main()
