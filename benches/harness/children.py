"""Processes: started on a CPU of their own, known by pid, ended when the harness ends."""

import ctypes
import os
import signal
import socket
import subprocess
import time

from harness import machine


class Children:
    """All that was started; leaving the `with` block ends it, by pid."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running[:]):
            self.end(process)

    def start(self, command, cpu, output, yields=False):
        """Starts `command` pinned to `cpu`, with both its outputs appended to the file `output`. One that yields runs when no other
        wants the CPU."""

        def prepare():
            os.sched_setaffinity(0, {cpu})
            # Ctrl-C reaches the harness alone, which then ends its children in order. Not a session: the kernel shares a CPU out among
            # sessions first (autogroup), and no priority would count between them.
            os.setpgid(0, 0)
            if yields:
                machine.yield_cpu()
            # The kernel ends it even when the harness is killed outright (PR_SET_PDEATHSIG).
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)

        started = time.monotonic()
        with open(output, "ab") as sink:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, preexec_fn=prepare)
        process.started = started
        self.running.append(process)
        return process

    def end(self, process):
        if process in self.running:
            self.running.remove(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(process, port, output, patience=10.0):
    """Returns once `port` takes connections. Raises RuntimeError with the end of its output when it does not."""
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.0005)
    with open(output, errors="replace") as said:
        tail = said.read()[-2000:]
    raise RuntimeError(f"{process.args[0]} does not listen on port {port}: {tail or 'it said nothing'}")
