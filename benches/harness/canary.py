"""A well-behaved client: a request every few milliseconds, by turns over a kept and over a fresh connection, each timed."""

import socket
import statistics
import time

EVERY = 0.005
PATIENCE = 5.0
REQUEST = b"GET /api/orders HTTP/1.1\r\nHost: canary\r\n\r\n"


def watch(port, seconds):
    """Figures of one window: `p50_ms`, `p99_ms`, `worst_ms`, `requests`, `failures`."""
    took, failures, kept = [], 0, None
    started = time.monotonic()
    due = started
    turn = 0
    while due < started + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        turn += 1
        begun = time.monotonic()
        try:
            if turn % 2:
                kept = ask_kept(port, kept)
            else:
                link = connect(port)
                ask(link)
                link.close()
            took.append((time.monotonic() - begun) * 1000)
        except OSError:
            failures += 1
            kept = None
        # A slow answer is one slow answer, and not a pause in the load.
        due = max(due + EVERY, time.monotonic() - 1.0)
    took = sorted(took) or [float("inf")]
    return {
        "p50_ms": statistics.median(took),
        "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)],
        "worst_ms": took[-1],
        "requests": turn,
        "failures": failures,
    }


def connect(port):
    link = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def ask_kept(port, link):
    """Asks over the kept connection; over a fresh one when that was closed, as every client does."""
    if link is not None:
        try:
            ask(link)
            return link
        except OSError:
            link.close()
    link = connect(port)
    ask(link)
    return link


def ask(link):
    link.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += link.recv(65536) or broken("closed")
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        broken(head[:30])
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].split(b":")[1]) - len(body)
    while left > 0:
        left -= len(link.recv(65536) or broken("closed in its body"))


def broken(why):
    raise ConnectionError(why)
