"""Resident memory without and with idle connections, time from start to the first answer, and size on disk."""

import socket
import struct
import time

from . import machine, probe

STARTS = 5
STEPS = [1_000, 10_000]


def measure(name, bench, start):
    """`start(name, suffix)` starts a contender. Returns the figures of a fresh one."""
    starts = []
    for number in range(STARTS):
        contender = start(name, f"-start{number}")
        starts.append(first_answer(contender))
        if number < STARTS - 1:
            bench.family.end(contender.process)
    contender.wait()
    probe.check(contender)
    figures = {
        "name": name,
        "start_ms": sorted(starts)[STARTS // 2] * 1000,
        "size_mib": contender.size() / 2**20,
        "idle_kib": machine.rss_kib(contender.process.pid),
        "connections": {},
    }
    links = []
    try:
        for step in STEPS:
            # Room for the harness's own files, and for the contender's.
            count = min(step, bench.files - 500)
            while len(links) < count:
                links.append(used_connection(contender))
            figures["connections"][count] = machine.rss_kib(contender.process.pid)
    finally:
        for link in links:
            # Reset instead of closed: ten thousand ports in TIME_WAIT would be missing later.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()
        bench.family.end(contender.process)
    return figures


def first_answer(contender):
    """Seconds from the start of the process to its first answer of any status."""
    deadline = contender.process.started + 10
    while time.monotonic() < deadline and contender.process.poll() is None:
        try:
            probe.get(contender.port, "/", {})
            return time.monotonic() - contender.process.started
        except OSError:
            time.sleep(0.0002)
    # Raises with what the program said.
    contender.wait()
    raise RuntimeError(f"{contender.name}: no answer within 10 s of its start")


def used_connection(contender):
    """A connection that stays open after one good answer, as a phone's does: buffers have been used."""
    link = socket.create_connection(("127.0.0.1", contender.port), timeout=5)
    skey = f"skey: {contender.skey}\r\n" if contender.skey else ""
    link.sendall(f"GET /api/orders HTTP/1.1\r\nHost: bench\r\n{skey}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += link.recv(65536) or broken(contender)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{contender.name}: an idle connection was answered {head[:60]!r}")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else broken(contender)
    while len(body) < length:
        body += link.recv(65536) or broken(contender)
    return link


def broken(contender):
    raise RuntimeError(f"{contender.name}: closed a connection that should stay, or lost the length of an answer")
