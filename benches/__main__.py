"""Runs the cases, judges them, and writes the table, the JSON and the picture: see .ci/bench."""

import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cases import AIMS, CASES, chosen
from measure import KINDS, Span
from picture import picture
from report import judged, markdown, table, verdicts
from rig import Failed, Rig


def machine():
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cores": os.cpu_count(),
        "model": model[1] if model else platform.machine(),
        "kernel": platform.release(),
        "memory_gib": round(int(memory[1]) / 1048576, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def said(*command):
    """What a program says of itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return (done.stdout + done.stderr).strip().splitlines()[0]


def main():
    programs, nginx = os.environ["PROGRAMS"], os.environ.get("NGINX")
    span = Span(float(os.environ.get("SPAN", "2")), int(os.environ.get("ROUNDS", "99")))
    out = Path(os.environ.get("OUT") or "benches/last")
    cases = chosen(sys.argv[1:])
    run = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": span.seconds,
        "machine": machine(),
        "versions": {
            "mcp-proxy": said(f"{programs}/mcp-proxy", "--version"),
            "commit": said("git", "rev-parse", "--short", "HEAD"),
            "nginx": said(nginx, "-v") if nginx else None,
        },
        "cases": {},
    }
    # Whoever ends it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rig, began, failed = Rig(programs, nginx), time.monotonic(), []
    try:
        for case in cases:
            start = time.monotonic()
            beside = tuple(spec for spec in case.beside if nginx or not spec.startswith("nginx"))
            case = type(case)(**{**vars(case), "beside": beside})
            try:
                results = KINDS[case.kind](rig, case, span)
            except Failed as reason:
                # The other cases are worth having.
                print(f"\n{case.name}: {reason}", flush=True)
                failed.append(case.name)
                rig.close()
                continue
            run["cases"][case.name] = {"what": case.what, "beside": list(beside), "rounds": results}
            print(f"\n{case.name}: {case.what} ({time.monotonic() - start:.0f} s)", flush=True)
            print(table(results), flush=True)
            # What a few cases need is in the way of the others' figures.
            if case.name in ("pipe-idle", "upstreams", "tools", "tenants", "list"):
                rig.close()
    finally:
        rig.remove()
    run["took"] = round(time.monotonic() - began)
    run["aims"] = judged(AIMS, run["cases"])
    print(f"\nwhat must hold, after {run['took']} s")
    print(verdicts([aim for aim in run["aims"] if aim["case"] in {case.name for case in cases}]))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(rounded(run))
    out.with_suffix(".svg").write_text(picture(run))
    print(f"\n{out}.json and {out}.svg are written", flush=True)
    if len(cases) == len(CASES) and out == Path("benches/last"):
        show(markdown(run))
    if failed:
        raise SystemExit(f"bench: not measured: {', '.join(failed)}")


def show(text):
    """Puts the last run into the README."""
    readme = Path("README.md")
    before, _, rest = readme.read_text().partition("<!-- the last run -->\n")
    _, _, after = rest.partition("<!-- its end -->\n")
    if after:
        readme.write_text(f"{before}<!-- the last run -->\n{text}\n<!-- its end -->\n{after}")


def rounded(run):
    """As JSON, with as many digits as there is something to say about."""
    short = json.loads(json.dumps(run), parse_float=lambda text: float(f"{float(text):.4g}"))
    # One line for each target of each case, so that a change can be read.
    text = json.dumps(short, indent=1)
    return re.sub(r"\{\s+([^{}\[\]]*?)\s+\}", lambda found: "{" + re.sub(r"\s+", " ", found[1]) + "}", text) + "\n"


if __name__ == "__main__":
    if not shutil.which("git"):
        print("bench: git is missing, so the commit is not told", file=sys.stderr)
    main()
