"""How each kind of case is measured: it gives, for each target, a list of rounds of figures."""

import http.client
import json
import os
import socket
import subprocess
import time
from pathlib import Path

from rig import ENVIRONMENT, KEY, Failed, Process, free_port, resident_kib


class Span:
    """How long it may take."""

    def __init__(self, seconds, rounds):
        self.seconds, self.most_rounds = seconds, rounds

    def rounds(self, case):
        return min(case.rounds, self.most_rounds)


def load(rig, target, *options):
    """One run of examples/load."""
    command = [rig.programs / "examples/load", *target.options, "--json", *map(str, options)]
    if target.pids:
        command += ["--pid", f"it={'+'.join(map(str, target.pids))}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise Failed(f"{target.name}: {done.stderr}")
    return json.loads(done.stdout)


def figures(target, answer, connections):
    """The figures of one round of calls."""
    found = answer["rounds"][0]
    if found["errors"]:
        print(f"    {target.name}: {found['errors']} errors, the first: {found['first_error']}", flush=True)
    result = {
        "rate": found["calls_per_second"],
        "p50": found["p50_us"],
        "p99": found["p99_us"],
        "p99.9": found["p99_9_us"],
        "tail": found["p99_9_us"] / max(found["p50_us"], 1),
        "errors": found["errors"],
    }
    for process in found["processes"]:
        result["cpu"] = process["cpu_ms_per_call"] * 1000
        result["peak_kib"] = process["peak_kib"]
        if target.small_kib:
            result["stream_kib"] = max(process["peak_kib"] - target.small_kib, 0) / connections
    return result


def in_turns(case, span, targets, one):
    """Each round meets all targets, each time in another order."""
    results = {target.name: [] for target in targets}
    for turn in range(span.rounds(case)):
        for place in range(len(targets)):
            target = targets[(place + turn) % len(targets)]
            results[target.name].append(one(target))
    if "direct" in results:
        for name, rounds in results.items():
            for found, direct in zip(rounds, results["direct"]):
                if name != "direct":
                    found["added_p50"] = found["p50"] - direct["p50"]
                    found["added_p99"] = found["p99"] - direct["p99"]
    return results


def calls(rig, case, span):
    large = max(case.load.get("size", 0), case.load.get("result", 0)) > 16 << 10
    if large:
        # What others have left in memory would hide what these take.
        rig.close()
    targets = [rig.target(spec, case) for spec in case.beside]
    if case.name == "list":
        save_list(rig, case)
    if large:
        targets = [with_small(rig, target) for target in targets]
    warmup = max(int(case.warmup * min(span.seconds, 1)), case.connections)

    def one(target):
        answer = load(rig, target, "--seconds", span.seconds, "--warmup", warmup)
        return figures(target, answer, case.connections)

    return in_turns(case, span, targets, one)


def with_small(rig, target):
    """Notes what as many small calls at once take, so that what large ones take more can be told."""
    if not target.idle_kib:
        return target
    size = "--result" if "--result" in target.options else "--size"
    answer = load(rig, target, "--calls", 2000, size, 64)
    return target._replace(small_kib=answer["rounds"][0]["processes"][0]["peak_kib"])


def opened(rig, case, span):
    """An open loop at half of what the proxy does in a closed one; all at the same rate."""
    targets = [rig.target(spec, case) for spec in case.beside]
    proxy = next(target for target in targets if target.name.startswith("proxy"))
    closed = ["--connections", 32, "--seconds", span.seconds, "--warmup", case.warmup]
    peaks = [figures(proxy, load(rig, proxy, *closed), 32)["rate"] for _ in range(3)]
    rate = sorted(peaks)[1] / 2

    def one(target):
        answer = load(rig, target, "--seconds", 2 * span.seconds, "--warmup", case.warmup, "--rate", rate)
        return figures(target, answer, case.connections)

    return in_turns(case, span, targets, one)


def save_list(rig, case):
    """Puts the proxy's own list before nginx as a file."""
    spec = next(spec for spec in case.beside if spec.startswith("proxy"))
    url = dict(zip(*[iter(rig.target(spec, case).options)] * 2))["--url"]
    host = url.removeprefix("http://").split("/")[0]
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    headers = {
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "MCP-Method": "tools/list",
    }
    wanted, length = 10_000, 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/mcp", json.dumps(body), headers)
        text = connection.getresponse().read()
        result = json.loads(text)["result"]
        length = len(result["tools"])
        if length == wanted or "nextCursor" in result:
            break
        time.sleep(0.2)
    print(f"    the list: {length} tools, {len(text)} bytes{' a page' if 'nextCursor' in result else ''}", flush=True)
    folder = rig.byte_server(case.era)[1][1] / "file"
    folder.mkdir(exist_ok=True)
    (folder / "list.json").write_bytes(text)


def held(rig, case, span):
    """Sessions, streams, or for those who have neither idle connections; each at a new process."""
    results = {}
    for spec in case.beside:
        rig.close()
        target = rig.target(spec, case)
        if case.kind == "streams" and not spec.startswith("proxy"):
            at = target.options.index("--streams")
            target.options[at] = "--idle"
        # Its first call is not what a session takes.
        first = [*target.options, "--key", KEY]
        for option in ("--sessions", "--streams", "--idle", "--keys"):
            if option in first:
                at = first.index(option)
                del first[at : at + 2]
        load(rig, target._replace(options=first), "--calls", 2000)
        answer = load(rig, target, "--hold", max(span.seconds * 8, 2), "--addresses", 4)
        if answer["errors"]:
            print(f"    {spec}: {answer['errors']} errors, the first: {answer['first_error']}", flush=True)
        process = answer["processes"][0]
        results[spec] = [
            {
                "each_bytes": process["resident_bytes_per_session"],
                "idle_cpu": process["idle_cpu"] * 100,
                "opened": answer["sessions"],
                "rate": answer["sessions"] / answer["seconds"],
                "cpu": process["cpu_ms_per_session"] * 1000,
                "errors": answer["errors"],
            }
        ]
    rig.close()
    return results


HELLO = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
    }
)


def first_answer(name, command, folder, port, environment):
    """Milliseconds from the start of a program to the first answer to `initialize`, and its children."""
    request = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        f"Content-Length: {len(HELLO)}\r\nConnection: close\r\n\r\n{HELLO}"
    ).encode()
    began = time.perf_counter()
    process = Process(name, command, folder, environment)
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(request)
                answer = connection.recv(65536)
                break
        except ConnectionRefusedError:
            if process.child.poll() is not None or time.perf_counter() - began > 60:
                raise Failed(f"{name} gave no answer:\n{process.log.read_text()}") from None
            time.sleep(0.0002)
    took = (time.perf_counter() - began) * 1000
    children = len(process.pids()) - 1
    process.end()
    if b" 200 " not in answer.split(b"\r\n")[0]:
        raise Failed(f"{name}: {answer[:200]}")
    return {"start_ms": took, "children": children}


def started(rig, case, span):
    results = {spec: [] for spec in case.beside}
    upstream = rig.canned("both")[1]
    ready = {}
    for spec in case.beside:
        folder, port = rig.folder(), free_port()
        if spec == "nginx":
            ready[spec] = (rig.nginx_command(folder, upstream, port), folder, port)
            continue
        setup = dict(word.split("=") for word in spec.split()[1:])
        rig.configure(folder, "both", f"127.0.0.1:{port}", pipe=True, **{name: int(value) for name, value in setup.items()})
        command = [rig.programs / "mcp-proxy", "serve", "--config", "mcp-proxy.toml"]
        ready[spec] = (command, folder, port)
    for turn in range(span.rounds(case) + 1):
        for spec, (command, folder, port) in ready.items():
            found = first_answer(spec, command, folder, port, ENVIRONMENT)
            # The first start makes the store.
            if turn:
                results[spec].append(found)
    return results


def idle(rig, case, span):
    del span
    rig.close()
    results, one = {}, None
    for spec in case.beside:
        target = rig.target(spec, case)
        kib = target.idle_kib or resident_kib(target.pids)
        found = {"resident_mib": kib / 1024}
        if spec == "proxy":
            one = kib
        elif "tenants=" in spec and one:
            found["tenant_bytes"] = max(kib - one, 0) * 1024 / int(spec.split("tenants=")[1])
        results[spec] = [found]
    rig.close()
    return results


def binary(rig, case, span):
    del span
    places = {"floor": "examples/lean", "proxy": "mcp-proxy"}
    return {spec: [{"megabytes": os.path.getsize(Path(rig.programs) / places[spec]) / 1e6}] for spec in case.beside}


KINDS = {
    "calls": calls,
    "open": opened,
    "sessions": held,
    "streams": held,
    "start": started,
    "idle": idle,
    "binary": binary,
}
