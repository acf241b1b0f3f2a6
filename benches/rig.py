"""The programs that are measured, each started when a case first needs it."""

import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

PATIENCE = 60
KEYS = [secrets.token_hex(24) for _ in range(10)]
KEY = KEYS[0]
OPERATOR = secrets.token_hex(24)
ENVIRONMENT = {"OPERATOR": OPERATOR} | {f"KEY{number}": key for number, key in enumerate(KEYS)}


class Failed(Exception):
    """A case that cannot be measured, and why."""


class Target(NamedTuple):
    """Whom a load is put on."""

    name: str
    pids: list  # of which CPU and memory are those of the target
    options: list  # of examples/load
    idle_kib: int = 0  # resident memory before its first call
    small_kib: int = 0  # its peak in small calls, where large ones are compared with them


class Process:
    """A program that runs until `end`."""

    def __init__(self, name, command, folder, environment=None):
        self.name, self.log = name, folder / "log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )

    def address(self):
        """Where it listens, when it says so."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.child.poll() is None:
            found = re.search(rb"listening on http://([0-9.:]+)", self.log.read_bytes())
            if found:
                return found[1].decode()
            time.sleep(0.02)
        raise Failed(f"{self.name} did not start:\n{self.log.read_text()}")

    def pids(self):
        """Its own id and those of its children, when they share its work."""
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        return [self.child.pid, *map(int, children.split())]

    def end(self):
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def resident_kib(pids):
    """Resident memory of these together."""
    sum_of = 0
    for pid in pids:
        sum_of += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    return sum_of


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.child.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
    raise Failed(f"nothing listens at port {port}:\n{process.log.read_text()}")


NGINX = """
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid nginx.pid;
{user}
events {{ worker_connections 10000; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 16m;
  # Bodies pass as they come, as in the other proxies; none is written to the disk.
  client_body_buffer_size 64k;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 64k;
  sendfile on;
  tcp_nopush on;
  upstream server {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location /file/ {{ root .; }}
    location / {{
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""

PROXY = """
[server]
listen = "{listen}"
max_connections = 60000
max_body = "16MiB"
[audit]
enabled = true
[admin]
keys = [{{ name = "ops", env = "OPERATOR" }}]
[limits]
key = {{ rate = "1000000/s", burst = 1000000, concurrent = 20000 }}
tenant = {{ rate = "1000000/s", burst = 1000000, concurrent = 20000, per_day = 1000000000, bytes_per_day = "1000000GiB" }}
tools = {{ {tools} }}
[tenants.bench]
keys = [{keys}]
"""

RULES = 'tools = { allow = ["ec*", "re*", "synthetic_*"], deny = ["*_all"] }'


class Rig:
    """Starts what targets need, once each, and ends it all."""

    def __init__(self, programs, nginx):
        self.programs, self.nginx = Path(programs).resolve(), nginx
        self.home = Path(tempfile.mkdtemp(prefix="bench-"))
        self.running = {}
        # Thousands of writes that need not be on a disk.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.memory = Path(tempfile.mkdtemp(prefix="bench-", dir=memory))
        self.stores = {}
        self.count = 0

    def close(self):
        for process, _ in self.running.values():
            process.end()
        self.running = {}

    def remove(self):
        self.close()
        shutil.rmtree(self.home)
        shutil.rmtree(self.memory)

    def folder(self):
        self.count += 1
        folder = self.home / str(self.count)
        folder.mkdir()
        return folder

    def once(self, key, start):
        """What `start` gives under this key: a process, and what is known of it."""
        if key not in self.running:
            self.running[key] = start()
        return self.running[key]

    def canned(self, era, tools=10):
        def start():
            command = [self.programs / "examples/canned", "--http", "127.0.0.1:0", "--era", era, "--tools", tools]
            process = Process("canned", command, self.folder())
            return process, process.address()

        return self.once(("canned", era, tools), start)

    def pipe_command(self, era, tools=10, work=0):
        command = [self.programs / "examples/canned", "--pipe", "yes", "--era", era, "--tools", tools, "--work", work]
        return [str(word) for word in command]

    def floor(self, era):
        def start():
            target = self.canned(era)[1]
            command = [self.programs / "examples/lean", "--listen", "127.0.0.1:0", "--target", f"http://{target}"]
            process = Process("floor", command, self.folder())
            return process, process.address()

        return self.once(("floor", era), start)

    def nginx_command(self, folder, upstream, port):
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(user=user, upstream=upstream, port=port))
        return [self.nginx, "-p", folder, "-c", "nginx.conf", "-e", "stderr"]

    def byte_server(self, era):
        """nginx, with the folder whose files it serves."""

        def start():
            folder, port = self.folder(), free_port()
            command = self.nginx_command(folder, self.canned(era)[1], port)
            process = Process("nginx", command, folder)
            wait_for(port, process)
            # It listens before those are there that work.
            while len(process.pids()) < 2:
                time.sleep(0.01)
            return process, (f"127.0.0.1:{port}", folder)

        return self.once(("nginx", era), start)

    def configure(self, folder, era, listen="127.0.0.1:0", upstreams=1, tools=10, pipe=False, work=0, keys=1):
        """Writes the file of a proxy. Gives the pattern of its upstreams' names."""
        names = ["up"] if upstreams == 1 else [f"up{number:03}" for number in range(1, upstreams + 1)]
        limits = ", ".join(f'{name} = {{ "ec*" = {{ rate = "1000000/s" }} }}' for name in names)
        own = ", ".join(f'{{ name = "bench{number}", env = "KEY{number}" }}' for number in range(keys))
        text = PROXY.format(listen=listen, tools=limits, keys=own)
        (folder / "keys").write_text("\n".join(KEYS[:keys]))
        if pipe:
            where = f"command = {json.dumps(self.pipe_command(era, tools, work))}"
        else:
            where = f'url = "http://{self.canned(era, tools)[1]}/mcp"'
        text += "".join(f"[upstreams.{name}]\n{where}\n{RULES}\n" for name in names)
        (folder / "mcp-proxy.toml").write_text(text)
        return names[0] if upstreams == 1 else "up###"

    def serve(self, folder):
        command = [self.programs / "mcp-proxy", "serve", "--config", "mcp-proxy.toml"]
        process = Process("mcp-proxy", command, folder, ENVIRONMENT)
        return process, process.address()

    def store_of(self, tenants):
        """A store with so many tenants, and the file with their keys; made once."""
        if tenants not in self.stores:
            folder = self.memory / str(tenants)
            folder.mkdir()
            self.configure(folder, "modern")
            process, address = self.serve(folder)
            (folder / "keys").write_text("\n".join(make_tenants(address, tenants)))
            process.end()
            (folder / "mcp-proxy.toml").unlink()
            self.stores[tenants] = folder
        return self.stores[tenants]

    def proxy(self, era, tenants=1, new=0, **setup):
        """mcp-proxy: its process, and address, pattern of names, folder and idle memory."""

        def start():
            folder = self.folder()
            pattern = self.configure(folder, era, **setup)
            if tenants > 1:
                # From a store, so that nothing of how they were made is in memory.
                shutil.copytree(self.store_of(tenants), folder, dirs_exist_ok=True)
            process, address = self.serve(folder)
            return process, (address, pattern, folder, settled_kib(process.child.pid))

        return self.once(("proxy", era, tenants, new, *sorted(setup.items())), start)

    def target(self, spec, case, new=0):
        """The target that a word of a case means."""
        kind, *words = spec.split()
        setup = {"pipe": True} if "pipe" in words else {}
        for word in words:
            name, _, value = word.partition("=")
            if value:
                setup[name] = int(value)
        options = {"--era": case.era, "--connections": case.connections}
        options |= {f"--{name}": value for name, value in case.load.items()}
        tool, pids, idle = options.pop("--tool", "echo"), [], 0
        if kind == "pipe":
            options["--pipe"] = " ".join(self.pipe_command(case.era, **setup))
        elif kind == "direct":
            options["--url"] = f"http://{self.canned(case.era)[1]}/mcp"
        elif kind == "floor":
            process, address = self.floor(case.era)
            pids, options["--url"] = process.pids(), f"http://{address}/mcp"
        elif kind == "nginx":
            process, (address, _) = self.byte_server(case.era)
            pids, options["--url"] = process.pids(), f"http://{address}/mcp"
            if "file" in words:
                options |= {"--method": "GET", "--url": f"http://{address}/file/list.json"}
        else:
            process, (address, pattern, folder, idle) = self.proxy(case.era, new=new, **setup)
            pids, options["--url"] = [process.child.pid], f"http://{address}/mcp"
            if "tenants" in setup or "keys" in setup:
                options["--keys"] = folder / "keys"
            else:
                options["--key"] = KEY
            listed = options.get("--method") == "tools/list"
            if "tools" in setup and case.kind == "calls" and not listed:
                # The first two are others; more have no number of four digits.
                tool, options["--names"] = "synthetic_####", min(setup["tools"] - 2, 9998)
            elif "upstreams" in setup and not listed:
                options["--names"] = setup["upstreams"]
            tool = f"{pattern}__{tool}"
        options["--tool"] = tool
        words = [str(word) for option in options.items() for word in option]
        return Target(spec, pids, words, idle)


def make_tenants(address, count):
    """Makes tenants over the API, each with a key; gives the keys."""
    headers = {"Authorization": f"Bearer {OPERATOR}", "Content-Type": "application/json"}

    def some(numbers):
        connection, keys = http.client.HTTPConnection(address, timeout=PATIENCE), []
        for number in numbers:
            body = json.dumps({"name": f"t{number}", "key": {"name": "k", "role": "member"}})
            connection.request("POST", "/api/v1/tenants", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 201:
                raise Failed(f"making a tenant: {answer.status}: {text.decode()}")
            keys.append(json.loads(text)["key"]["key"])
        connection.close()
        return keys

    # Several at a time: each waits for the disk.
    with ThreadPoolExecutor(8) as pool:
        return [key for keys in pool.map(some, (range(at, count, 8) for at in range(8))) for key in keys]


def settled_kib(pid):
    """Resident memory when it has stopped changing."""
    last, same = resident_kib([pid]), 0
    while same < 5:
        time.sleep(0.1)
        now = resident_kib([pid])
        same = same + 1 if now == last else 0
        last = now
    return last
