"""Medians with their spread, tables, and which aims hold."""

from statistics import median

# The figures, as they are called in tables, and by how much they are multiplied there. CPU is per
# call, session or connection, all times are of calls.
COLUMNS = [
    ("cpu", "CPU µs", 1),
    ("rate", "per s", 1),
    ("p50", "p50 µs", 1),
    ("p99", "p99 µs", 1),
    ("p99.9", "p99.9", 1),
    ("added_p50", "+p50", 1),
    ("added_p99", "+p99", 1),
    ("peak_kib", "peak MiB", 1 / 1024),
    ("stream_kib", "KiB/stream", 1),
    ("each_bytes", "B each", 1),
    ("idle_cpu", "idle CPU %", 1),
    ("start_ms", "start ms", 1),
    ("children", "children", 1),
    ("resident_mib", "MiB", 1),
    ("tenant_bytes", "B/tenant", 1),
    ("megabytes", "MB", 1),
    ("errors", "errors", 1),
]


def values(rounds, figure):
    return [found[figure] for found in rounds if found.get(figure) is not None]


def middle(rounds, figure):
    """Median, least and most of a figure; None where it was not measured."""
    found = values(rounds, figure)
    return (median(found), min(found), max(found)) if found else None


def ratio(own, other, figure):
    """The same of the ratios, round by round."""
    pairs = zip(values(own, figure), values(other, figure))
    found = [mine / its for mine, its in pairs if its > 0]
    return (median(found), min(found), max(found)) if found else None


def number(value):
    """With three digits that count."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def aligned(rows):
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) if not place else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    )


def base_of(results):
    """Whom ratios are relative to: the floor where it is there, else the last one."""
    return "floor" if "floor" in results else list(results)[-1]


def table(results):
    """The figures of a case, and CPU and calls relative to the floor with their spread."""
    shown = [column for column in COLUMNS if any(values(rounds, column[0]) for rounds in results.values())]
    shown = [column for column in shown if column[0] != "errors" or any(sum(values(rounds, "errors")) for rounds in results.values())]
    base = base_of(results)
    related = [column for column in shown if column[0] in ("cpu", "rate", "p50", "p99", "each_bytes", "start_ms")] if len(results) > 1 else []
    rows = [["", *(title for _, title, _ in shown), *(f"{title.split()[0]} / {base}" for _, title, _ in related)]]
    for name, rounds in results.items():
        row = [name]
        for figure, _, times in shown:
            found = middle(rounds, figure)
            row.append(number(found[0] * times) if found else "")
        for figure, _, _ in related:
            found = ratio(rounds, results[base], figure) if name != base else None
            row.append(f"{found[0]:.2f} ({found[1]:.2f}–{found[2]:.2f})" if found else "")
        rows.append(row)
    return aligned(rows)


def judged(aims, cases):
    """Each aim with what was measured; `holds` is None where it was not."""
    found = []
    for aim in aims:
        results = cases.get(aim.case, {}).get("rounds", {})
        own, _, other = aim.of.partition("/")
        measured = None
        if own in results and not other:
            measured = middle(results[own], aim.figure)
        elif own in results and other in results:
            measured = ratio(results[own], results[other], aim.figure)
        holds = None
        if measured:
            holds = bool(measured[0] <= aim.most if aim.most is not None else measured[0] >= aim.least)
        bound = {"most": aim.most} if aim.most is not None else {"least": aim.least}
        found.append({"letter": aim.letter, "what": aim.what, "case": aim.case, "measured": measured, **bound, "holds": holds})
    return found


def verdicts(aims):
    """The aims as lines: letter, what, measured, aim, whether it holds."""
    rows = [["", "what", "measured", "(spread)", "aim", "holds"]]
    for aim in aims:
        bound = f"≤ {number(aim['most'])}" if "most" in aim else f"≥ {number(aim['least'])}"
        if aim["measured"]:
            mid, low, high = aim["measured"]
            cells = [number(mid), f"({number(low)}–{number(high)})" if high > low else ""]
        else:
            cells = ["not measured", ""]
        rows.append([aim["letter"], aim["what"], *cells, bound, {True: "yes", False: "NO", None: "?"}[aim["holds"]]])
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    left = (0, 1, 3, 5)
    return "\n".join(
        "  ".join(cell.ljust(width) if place in left else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows
    )


def markdown(run):
    """What the README shows of a run: the cases with a floor, and the aims."""
    machine, versions = run["machine"], run["versions"]
    lines = [
        f"The last run, {run['date']}, {machine['cores']} cores of a machine that others share ({machine['model']}, Linux "
        f"{machine['kernel']}, load {machine['load_before']} before it), {(versions['nginx'] or 'no nginx').removeprefix('nginx version: ')}; "
        f"medians of the ratios, round by round. {run.get('note', '')}".rstrip(),
        "",
        "| | CPU to the floor's | to nginx's | calls/s to nginx's | p50 to nginx's | p99 to nginx's |",
        "|---|---|---|---|---|---|",
    ]
    for case in run["cases"].values():
        rounds = case["rounds"]
        if not {"floor", "nginx", "proxy"} <= set(rounds) or not rounds["proxy"][0].get("p50"):
            continue
        pairs = [("cpu", "floor"), ("cpu", "nginx"), ("rate", "nginx"), ("p50", "nginx"), ("p99", "nginx")]
        found = [ratio(rounds["proxy"], rounds[other], figure) for figure, other in pairs]
        lines.append(f"| {case['what']} | " + " | ".join(f"{it[0]:.2f}" if it else "" for it in found) + " |")
    lines += ["", "| | what | measured | aim | holds |", "|---|---|---|---|---|"]
    for aim in run["aims"]:
        bound = f"≤ {number(aim['most'])}" if "most" in aim else f"≥ {number(aim['least'])}"
        found = number(aim["measured"][0]) if aim["measured"] else ""
        holds = {True: "yes", False: "no", None: ""}[aim["holds"]]
        lines.append(f"| {aim['letter']} | {aim['what']} | {found} | {bound} | {holds} |")
    return "\n".join(lines)
