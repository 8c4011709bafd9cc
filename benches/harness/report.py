"""Medians and Markdown."""

import statistics

BASE = "nginx-lua"
TITLES = {
    "auth": "Authenticated requests, {} connections",
    "pure": "Authenticated requests, {} connections, everything on one CPU",
    "unknown": "Unknown skey (401), {} connections",
    "paced": "Authenticated requests, about 4,000 a second over {} connections",
}
FIGURES = ["cpu_per_10k", "system_share", "redis_cpu_per_10k", "busy", "requests_per_s", "p50_us", "p99_us"]

RATIOS = ["cpu_per_10k", "redis_cpu_per_10k", "requests_per_s", "p50_us", "p99_us"]


def summary(windows):
    """Medians of the windows of one contender in one cell; `failure` is the first one seen."""
    medians = {figure: statistics.median(window[figure] for window in windows) for figure in FIGURES}
    costs = [window["cpu_per_10k"] for window in windows]
    medians["spread"] = (max(costs) - min(costs)) / max(medians["cpu_per_10k"], 1e-9)
    medians["failure"] = next((window["failure"] for window in windows if window["failure"]), None)
    return medians


def markdown(facts, cells, memory):
    """The whole report. `cells` is {(scenario, connections): {name: summary}}."""
    lines = [f"- {fact}" for fact in facts]
    for (scenario, connections), rows in cells.items():
        title = TITLES[scenario].format(connections).replace(" 1 connections", " 1 connection")
        lines += ["", f"## {title}", "", *table(rows)]
        if connections > 1 and scenario != "paced":
            lines += notes(rows)
    if memory:
        lines += ["", "## Memory, start-up, size", "", *memory_table(memory)]
    return "\n".join(lines) + "\n"


def table(rows):
    base = rows.get(BASE)
    lines = [
        "| contender | CPU × | Redis CPU × | req/s × | p50 × | p99 × "
        "| CPU s/10k | spread | sys | busy | Redis CPU s/10k | req/s | p50 µs | p99 µs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        if row["failure"]:
            lines.append(f"| {name} | FAILED: {row['failure']} |" + " |" * 12)
            continue
        ratios = " | ".join(ratio(row, base, figure) for figure in RATIOS)
        lines.append(
            f"| {name} | {ratios} | {row['cpu_per_10k']:.3f} | {row['spread']:.0%} | {row['system_share']:.0%} "
            f"| {row['busy']:.0%} | {row['redis_cpu_per_10k']:.3f} | {row['requests_per_s']:.0f} "
            f"| {row['p50_us']:.0f} | {row['p99_us']:.0f} |"
        )
    return lines


def ratio(row, base, figure):
    if base is None or base["failure"] or base[figure] == 0:
        return "–"
    return f"{row[figure] / base[figure]:.2f}"


def notes(rows):
    """Names the contenders whose requests/s is not their own limit."""
    idle = [f"{name} ({row['busy']:.0%})" for name, row in rows.items() if row["busy"] < 0.9 and not row["failure"]]
    if not idle:
        return []
    return ["", f"Not busy all the time, so that req/s is a floor and p50, p99 the load side's: {', '.join(idle)}."]


def memory_table(memory):
    counts = sorted({count for figures in memory for count in figures["connections"]})
    titles = " | ".join(f"RSS MiB, {count:,} idle connections" for count in counts)
    lines = [
        f"| contender | RSS MiB idle | {titles} | KiB per connection | start-up ms | size MiB |",
        "|---|--:|" + "--:|" * (len(counts) + 3),
    ]
    for figures in memory:
        held = figures["connections"]
        sizes = [f"{held[count] / 1024:.1f}" if count in held else "–" for count in counts]
        few, many = min(held), max(held)
        each = f"{(held[many] - held[few]) / (many - few):.2f}" if many > few else "–"
        lines.append(
            f"| {figures['name']} | {figures['idle_kib'] / 1024:.1f} | {' | '.join(sizes)} | {each} "
            f"| {figures['start_ms']:.1f} | {figures['size_mib']:.1f} |"
        )
    return lines
