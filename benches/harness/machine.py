"""What the kernel says: CPUs, time used by processes, memory, limits, and the facts printed above the tables."""

import os
import pathlib
import platform
import resource
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpus():
    return os.sched_getaffinity(0)


def two_cpus():
    """One CPU for the contender and one for the load; the same one where there is no other."""
    usable = sorted(cpus())
    return [usable[-1], usable[0]]


def family(pid):
    """The process and all that descend from it: nginx works in a child."""
    found = [pid]
    for member in found:
        for children in pathlib.Path(f"/proc/{member}/task").glob("*/children"):
            found.extend(int(child) for child in children.read_text().split())
    return found


def cpu_seconds(pid):
    """User and system time of a process with all its threads and children that live, in seconds."""
    user = system = 0
    for member in family(pid):
        # The name may hold blanks and brackets; the fields after the last bracket are fixed.
        fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[11])
        system += int(fields[12])
    return user / TICKS, system / TICKS


def pin(pid, cpu):
    """Moves a running process, its threads and its children to one CPU."""
    for member in family(pid):
        for thread in pathlib.Path(f"/proc/{member}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cpu})


def yield_cpu():
    """From now on this process runs only when no other of its session wants the CPU."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def rss_kib(pid):
    """Resident memory of a process and its children; pages that they share are counted in each."""
    pages = sum(int(pathlib.Path(f"/proc/{member}/statm").read_text().split()[1]) for member in family(pid))
    return pages * PAGE // 1024


def stolen_seconds():
    """Time that the host of a virtual machine gave to others, over all CPUs, since boot."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) / TICKS


def raise_file_limit(wanted):
    """As many descriptors as allowed, at most `wanted`, for this process and what it starts; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((wanted, max(wanted, hard)), (min(wanted, hard), hard)):
        if soft >= wanted:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
        except (ValueError, PermissionError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def facts(options):
    """Lines for the head of the report."""
    described = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in described if line.startswith("model name")), "")
    contender, load = options.cpus
    lines = [
        f"{os.cpu_count()} CPUs ({model or platform.machine()}), Linux {platform.release()}; "
        f"load average at the start {os.getloadavg()[0]:.2f}",
        f"contenders on CPU {contender}, one worker each; wrk, upstream, Redis and the harness on CPU {load}; loopback",
        f"{options.rounds} rounds of {options.seconds} s, contenders interleaved and rotated, medians; "
        f"request log {options.log}",
        ", ".join([
            version(["nginx", "-v"]),
            version(["redis-server", "--version"]),
            version(["wrk", "-v"]),
            *packages(["libnginx-mod-http-lua", "lua-nginx-redis"]),
        ]),
    ]
    for name, path in options.binaries.items():
        if name in options.contenders:
            lines.append(f"{name}: {version([str(path), '--version'])}, {path.stat().st_size / 2**20:.1f} MiB")
    return lines


def version(command):
    """The first line that a program says about itself, shortened."""
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    line = next(iter((answer.stdout + answer.stderr).strip().splitlines()), command[0])
    return line.replace("nginx version: ", "").split(" sha=")[0].split(" [epoll]")[0]


def packages(names):
    """`name version` of the installed ones."""
    command = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *names]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
