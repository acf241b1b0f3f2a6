"""The run as an SVG that is readable on light and on dark pages."""

import math
from html import escape

from report import ratio

# The cases that are drawn, each relative to the floor in the same rounds.
PANELS = [("cpu", "CPU per call"), ("rate", "calls per second"), ("p99", "p99")]
DRAWN = {"proxy": ("mine", "mcp-proxy"), "nginx": ("nginx", "nginx")}
LOW, HIGH = 0.25, 4  # what the axis shows; further values stand at its end
ROW, TOP, LEFT, WIDTH, GAP = 22, 74, 300, 210, 26

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.soft { fill: #57606a } .title { font-weight: 600; font-size: 14px }
.grid { stroke: #d0d7de } .one { stroke: #57606a }
.mine { fill: #0969da; stroke: #0969da } .nginx { fill: #bc4c00; stroke: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .soft { fill: #9198a1 }
.grid { stroke: #3d444d } .one { stroke: #9198a1 }
.mine { fill: #4493f8; stroke: #4493f8 } .nginx { fill: #f0883e; stroke: #f0883e }
}
"""


def place(value, left):
    """Where a ratio stands on a panel that begins here, on a logarithmic scale."""
    share = math.log(min(max(value, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return left + share * WIDTH


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def mark(kind, x, y, low, high):
    """A point with its spread. The two shapes differ, for whoever sees no colours."""
    line = f'<line class="{kind}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke-width="2" stroke-opacity=".4"/>'
    if kind == "mine":
        return f'{line}<circle class="{kind}" cx="{x:.1f}" cy="{y}" r="4.5"/>'
    return f'{line}<rect class="{kind}" x="{x - 4:.1f}" y="{y - 4}" width="8" height="8"/>'


def picture(run):
    """All cases with a floor, as points on panels: 1 is the floor."""
    cases = [case for case in run["cases"].values() if "floor" in case["rounds"] and any(name in case["rounds"] and case["rounds"][name][0].get("p50") for name in DRAWN)]
    bottom = TOP + ROW * len(cases)
    width = LEFT + len(PANELS) * (WIDTH + GAP)
    machine = run["machine"]
    parts = [
        text(10, 22, "mcp-proxy with everything on, relative to a byte proxy (examples/lean.rs)", "title"),
        text(10, 40, f"{run['date']}, {machine['cores']} cores, {machine['model']}, Linux {machine['kernel']}; median and spread of the rounds", "soft"),
    ]
    for number, (kind, name) in enumerate(DRAWN.values()):
        x = LEFT + number * 110
        parts += [mark(kind, x, 56, x, x), text(x + 10, 60, name, "soft")]
    for number, case in enumerate(cases):
        parts.append(text(10, TOP + ROW * number + 26, case["what"]))
    for number, (figure, title) in enumerate(PANELS):
        left = LEFT + number * (WIDTH + GAP)
        parts.append(text(left + WIDTH / 2, TOP + 4, title, "soft", "middle"))
        for tick in (0.25, 0.5, 1, 2, 4):
            x, kind = place(tick, left), "one" if tick == 1 else "grid"
            parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP + 10}" y2="{bottom + 12}"/>')
            parts.append(text(x, bottom + 26, f"{tick:g}", "soft", "middle"))
        for row, case in enumerate(cases):
            y = TOP + ROW * row + 22
            for spec, (kind, _) in DRAWN.items():
                rounds = case["rounds"].get(spec)
                found = rounds and ratio(rounds, case["rounds"]["floor"], figure)
                if found:
                    parts.append(mark(kind, *(place(found[0], left), y), place(found[1], left), place(found[2], left)))
    size = f'width="{width}" height="{bottom + 36}" viewBox="0 0 {width} {bottom + 36}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
