"""One measured window: wrk against one contender, with the CPU time of all processes meanwhile."""

import json
import pathlib
import subprocess
import time

from . import machine
from .probe import UNKNOWN

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "conf" / "load.lua"
PACED_CONNECTIONS = 64
PACED_WAIT_MS = 16  # 64 connections, a request each 16 ms and its answer's time: a little under 4000 a second.

# What a mini program on a phone sends, but for its cookies.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 MicroMessenger/8.0.54",
    "Referer": "https://servicewechat.com/wx0123456789abcdef/42/page-frame.html",
    "Content-Type": "application/json",
    "Accept-Encoding": "gzip, deflate",
}


def cells(options):
    """Every (scenario, connections) of this run, in the order of the report."""
    found = []
    if "auth" in options.scenario:
        found += [("auth", connections) for connections in options.connections]
    if "pure" in options.scenario:
        found.append(("pure", 1))
    if "unknown" in options.scenario:
        found.append(("unknown", 64))
    if "paced" in options.scenario:
        found.append(("paced", PACED_CONNECTIONS))
    return found


def window(contender, scenario, connections, seconds, redis, cpus):
    """Runs wrk once and returns the figures of this window; `failure` says what went wrong, or is None."""
    if scenario != "pure":
        return run(contender, scenario, connections, seconds, redis)
    # One CPU for all: no request waits until another CPU has been woken up, which in a virtual machine costs more than
    # the request itself.
    machine.pin(contender.process.pid, cpus[1])
    try:
        return run(contender, scenario, connections, seconds, redis)
    finally:
        machine.pin(contender.process.pid, cpus[0])


def run(contender, scenario, connections, seconds, redis):
    headers = dict(HEADERS)
    if contender.skey:
        headers["skey"] = UNKNOWN if scenario == "unknown" else contender.skey
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "--latency", "-s", str(SCRIPT)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{contender.port}/api/orders?page=2")
    if scenario == "paced":
        command += ["--", "paced", str(PACED_WAIT_MS)]
    before = machine.cpu_seconds(contender.process.pid), machine.cpu_seconds(redis.process.pid)
    started = time.monotonic()
    said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    elapsed = time.monotonic() - started
    after = machine.cpu_seconds(contender.process.pid), machine.cpu_seconds(redis.process.pid)
    user, system = (late - early for late, early in zip(after[0], before[0]))
    redis_used = sum(after[1]) - sum(before[1])
    result = parse(said)
    contender.requested += result["requests"]
    contender.logged += count_and_empty(contender.log)
    per_10k = 10_000 / max(1, result["requests"])
    return {
        "cpu_per_10k": (user + system) * per_10k,
        "system_share": system / max(user + system, 1e-9),
        "redis_cpu_per_10k": redis_used * per_10k,
        "busy": (user + system) / elapsed,
        "requests_per_s": result["requests"] / result["seconds"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "failure": failure(result, scenario),
    }


def parse(said):
    for line in said.stdout.splitlines():
        if line.startswith("result "):
            return json.loads(line.removeprefix("result "))
    raise RuntimeError(f"wrk: {(said.stderr or said.stdout).strip()[-500:] or 'no result'}")


def failure(result, scenario):
    """A window with any answer but the expected one, or a broken connection, proves nothing."""
    refused = result["requests"] if scenario == "unknown" else 0
    if result["requests"] == 0:
        return "no answer at all"
    if result["socket_errors"]:
        return f"{result['socket_errors']} socket errors"
    if result["refused"] != refused:
        return f"{result['refused']} refusals of {result['requests']}, expected {refused}"
    return None


def count_and_empty(log):
    """Lines in a log, which is emptied: minutes of full load would fill the memory it lies in."""
    if not log.exists():
        return 0
    lines = 0
    with open(log, "r+b") as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
        # Its writer appends, so that the next line lands at the new end.
        file.truncate(0)
    return lines
