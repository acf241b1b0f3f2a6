"""What is measured: one row for each case, and one for each aim that a run is held to.

A case puts the same load on several programs in turns. Programs are named in words:
  direct          the upstream itself
  nginx, floor    a byte proxy before it: Debian's nginx, and examples/lean.rs
  proxy           mcp-proxy with everything on: key, namespaces, policy, limits, audit, metrics
  pipe            a bare loop over the pipe of an upstream on standard input and output
and proxies by what they have: `proxy tools=100 upstreams=10 tenants=5000 pipe`.
"""

from dataclasses import dataclass, field

EVERYONE = ("direct", "nginx", "floor", "proxy")
PROXIES = ("nginx", "floor", "proxy")
LONG, SHORT = 9, 5


@dataclass(frozen=True)
class Case:
    """One row: what is done to whom."""

    name: str
    what: str
    beside: tuple = EVERYONE
    kind: str = "calls"  # how it is measured, see measure.py
    era: str = "modern"
    rounds: int = SHORT
    connections: int = 32
    warmup: int = 1000
    load: dict = field(default_factory=dict)  # further options of examples/load


@dataclass(frozen=True)
class Aim:
    """A figure of one program, or its ratio to another's (`of` = "one/other"), and its bound."""

    letter: str
    what: str
    case: str
    figure: str
    of: str
    most: float = None
    least: float = None


def echo(name, what, size, **more):
    return Case(name, what, load={"size": size}, **more)


def report(name, what, size, **more):
    return Case(name, what, load={"tool": "report", "result": size}, **more)


CASES = [
    # Calls before an upstream over HTTP.
    echo("echo", "200 B echo, 32 connections", 200, rounds=LONG),
    echo("echo-legacy", "200 B echo, 32 connections, 2025-11-25", 200, rounds=LONG, era="legacy"),
    echo("echo-1", "200 B echo, 1 connection", 200, rounds=LONG, connections=1),
    echo("echo-1-legacy", "200 B echo, 1 connection, 2025-11-25", 200, rounds=LONG, connections=1, era="legacy"),
    echo("echo-512", "200 B echo, 512 connections", 200, connections=512, warmup=4000),
    echo("echo-512-legacy", "200 B echo, 512 connections, 2025-11-25", 200, connections=512, warmup=4000, era="legacy"),
    echo("echo-64k", "64 KiB echo, 32 connections", 64 << 10, warmup=300),
    echo("echo-64k-legacy", "64 KiB echo, 32 connections, 2025-11-25", 64 << 10, warmup=300, era="legacy"),
    echo("echo-1m", "1 MiB echo, 32 connections", 1 << 20, warmup=64),
    report("result-600k", "600 KiB structured result, 32 connections", 600 << 10, warmup=64),
    report("result-600k-legacy", "600 KiB structured result, 2025-11-25", 600 << 10, warmup=64, era="legacy"),
    report("result-1m", "1 MiB structured result, 32 connections", 1 << 20, warmup=64),
    echo("open", "200 B echo at half of the peak, open loop", 200, kind="open", connections=64),
    # Calls before an upstream on standard input and output.
    Case("pipe", "200 B echo, stdio upstream that works 200 µs", ("pipe work=200", "proxy pipe work=200", "floor"), load={"size": 200}),
    Case("pipe-idle", "200 B echo, stdio upstream", ("pipe", "proxy pipe", "floor"), load={"size": 200}),
    # The same calls as there is more to choose from.
    Case("upstreams", "200 B echo, calls to 1, 10, 100 upstreams", ("proxy upstreams=10", "proxy upstreams=100", "proxy"), load={"size": 200}),
    Case("tools", "200 B echo, calls to 10 to 10,000 tools", ("proxy tools=100", "proxy tools=1000", "proxy tools=10000", "proxy tools=10"), rounds=LONG, load={"size": 200}),
    Case("tenants", "200 B echo, calls of 1 to 5,000 tenants", ("proxy tenants=100", "proxy tenants=5000", "proxy tenants=1"), rounds=LONG, warmup=12000, load={"size": 200}),
    Case("list", "tools/list of 10,000 tools from 100 upstreams", ("nginx file", "proxy upstreams=100 tools=100"), connections=4, warmup=20, load={"method": "tools/list"}),
    # What is open and does nothing.
    Case("sessions-1000", "1,000 idle sessions without a connection", ("proxy",), "sessions", "legacy", 1, load={"sessions": 1000}),
    Case("sessions-10000", "10,000 idle sessions without a connection", ("proxy",), "sessions", "legacy", 1, load={"sessions": 10000}),
    Case("sessions-50000", "50,000 idle sessions without a connection", ("proxy keys=6",), "sessions", "legacy", 1, load={"sessions": 50000}),
    Case("streams-1000", "1,000 open streams, idle connections of the others", PROXIES, "streams", "legacy", 1, load={"streams": 1000}),
    Case("streams-10000", "10,000 open streams, idle connections of the others", PROXIES, "streams", "legacy", 1, load={"streams": 10000}),
    # The program itself.
    Case("start", "from the start to the first answer, 100 upstreams in the file", ("nginx", "proxy upstreams=100 tools=1"), "start", rounds=11),
    Case("idle", "resident memory before the first call", ("nginx", "floor", "proxy", "proxy tenants=5000"), "idle", rounds=1),
    Case("binary", "size of the program", ("floor", "proxy"), "binary", rounds=1),
]

AIMS = [
    Aim("A", "CPU per call, 2026-07-28, to the floor's", "echo", "cpu", "proxy/floor", most=1.15),
    Aim("A", "CPU per call, 2025-11-25, to the floor's", "echo-legacy", "cpu", "proxy/floor", most=1.15),
    Aim("A", "CPU per call, 2026-07-28, to nginx's", "echo", "cpu", "proxy/nginx", most=1.25),
    Aim("A", "CPU per call, 2025-11-25, to nginx's", "echo-legacy", "cpu", "proxy/nginx", most=1.25),
    Aim("A", "calls/s, 2026-07-28, to nginx's", "echo", "rate", "proxy/nginx", least=0.85),
    Aim("A", "calls/s, 2025-11-25, to nginx's", "echo-legacy", "rate", "proxy/nginx", least=0.85),
    Aim("A", "CPU per call of the floor, to nginx's", "echo", "cpu", "floor/nginx", most=1.25),
    Aim("B", "added p50, 2026-07-28, to what nginx adds", "echo-1", "added_p50", "proxy/nginx", most=1.3),
    Aim("B", "added p50, 2025-11-25, to what nginx adds", "echo-1-legacy", "added_p50", "proxy/nginx", most=1.3),
    Aim("B", "added p99, 2026-07-28, to what nginx adds", "echo-1", "added_p99", "proxy/nginx", most=2),
    Aim("B", "added p99, 2025-11-25, to what nginx adds", "echo-1-legacy", "added_p99", "proxy/nginx", most=2),
    Aim("B", "p99.9 to p50 at half of the peak, open loop", "open", "tail", "proxy", most=5),
    Aim("C", "CPU per call, 1 MiB echo, to the floor's", "echo-1m", "cpu", "proxy/floor", most=1.1),
    Aim("C", "CPU per call, 1 MiB result, to the floor's", "result-1m", "cpu", "proxy/floor", most=1.1),
    Aim("C", "KiB more for each stream, 1 MiB echo", "echo-1m", "stream_kib", "proxy", most=256),
    Aim("C", "KiB more for each stream, 1 MiB result", "result-1m", "stream_kib", "proxy", most=256),
    Aim("D", "calls/s, stdio, 200 µs, to a bare loop's", "pipe", "rate", "proxy pipe work=200/pipe work=200", least=0.9),
    Aim("D", "CPU per call, stdio, to the floor's over HTTP", "pipe", "cpu", "proxy pipe work=200/floor", most=1.3),
    Aim("E", "bytes for each of 50,000 idle sessions", "sessions-50000", "each_bytes", "proxy keys=6", most=1024),
    Aim("E", "CPU while 50,000 sessions are idle, %", "sessions-50000", "idle_cpu", "proxy keys=6", most=1),
    Aim("E", "memory of 10,000 streams, to the floor's idle connections", "streams-10000", "each_bytes", "proxy/floor", most=1.5),
    Aim("E", "bytes for each of 5,000 tenants that never called", "idle", "tenant_bytes", "proxy tenants=5000", most=100),
    Aim("F", "calls/s of the list, to a static file of nginx", "list", "rate", "proxy upstreams=100 tools=100/nginx file", least=0.5),
    Aim("F", "CPU per call among 10,000 names, to among 10", "tools", "cpu", "proxy tools=10000/proxy tools=10", most=1.05),
    Aim("F", "CPU per call of 5,000 tenants, to one's", "tenants", "cpu", "proxy tenants=5000/proxy tenants=1", most=1.05),
    Aim("G", "start to first answer, to nginx's", "start", "start_ms", "proxy upstreams=100 tools=1/nginx", most=3),
    Aim("G", "size of the program, MB", "binary", "megabytes", "proxy", most=25),
    Aim("G", "idle resident memory, MiB", "idle", "resident_mib", "proxy", most=15),
]


def chosen(words):
    """The cases that are meant: names, patterns of names, or letters of aims; all without any."""
    from fnmatch import fnmatch

    if not words:
        return CASES
    found = [
        case
        for case in CASES
        if any(fnmatch(case.name, word) or any(aim.letter == word and aim.case == case.name for aim in AIMS) for word in words)
    ]
    known = {aim.letter for aim in AIMS}
    for word in words:
        if word not in known and not any(fnmatch(case.name, word) for case in CASES):
            raise SystemExit(f"bench: no case {word}; there are {', '.join(case.name for case in CASES)}, and A to G")
    return found
