"""The Redis of a run: no persistence, one port, and the one command the harness itself needs."""

import socket

from . import children


class Store:
    """A redis-server on the load's CPU."""

    def __init__(self, family, cpu, directory):
        self.port = children.free_port()
        output = directory / "redis.out"
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(directory)]
        self.process = family.start([*command, "--save", "", "--appendonly", "no"], cpu, output)
        children.wait_for_port(self.process, self.port, output)

    def set(self, key, value):
        """SET with an hour to live. Raises RuntimeError with Redis's answer when that is not OK."""
        words = [word.encode() for word in ("SET", key, value, "EX", "3600")]
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(request)
            answer = link.recv(256)
        if answer != b"+OK\r\n":
            raise RuntimeError(f"redis: SET {key}: {answer.decode(errors='replace').strip()}")
