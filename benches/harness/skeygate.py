"""A build of skeygate as a contender: the smallest gateway.toml that does the work, and a real login."""

import json
import secrets
import time
import urllib.error
import urllib.request

from . import children
from .nginx import APPID

CONFIG = """\
[server]
listen = ["127.0.0.1:{port}"]
workers = 1
max_connections = {connections}

[admin]
listen = ""

[redis]
url = "redis://127.0.0.1:{redis}/0"
key_prefix = "{name}:"

[[apps]]
appid = "{appid}"
secret = "{secret}"

[wechat]
api_base = "http://127.0.0.1:{wechat}"

[upstreams.api]
servers = ["http://127.0.0.1:{upstream}"]

[[routes]]
path = "/*"
upstream = "api"

[log]
format = "json"
level = "{level}"
"""


class Skeygate:
    """One gateway with one worker. Logs go to its standard output, a file."""

    def __init__(self, name, path, bench, cpu, suffix=""):
        self.name = name
        self.path = path
        directory = bench.directory / f"{name}{suffix}"
        directory.mkdir()
        self.port = children.free_port()
        self.log = self.output = directory / "out"
        config = directory / "gateway.toml"
        config.write_text(CONFIG.format(
            port=self.port,
            # One address may hold half of them by default, and the harness has one.
            connections=2 * max(1024, bench.files - 1000),
            redis=bench.store.port,
            name=name,
            appid=APPID,
            secret=secrets.token_hex(16),
            wechat=bench.wechat.port,
            upstream=bench.upstream.port,
            level="info" if bench.options.log == "on" else "off",
        ))
        self.process = bench.family.start([str(path), "run", "--config", str(config)], cpu, self.output)
        self.skey = self.user_id = None
        self.requested = self.logged = 0

    def wait(self):
        children.wait_for_port(self.process, self.port, self.output)
        if self.skey is None:
            self.log_in()

    def log_in(self):
        """POST /login until it is answered with an skey; a Redis link that is still being made may answer 503 first."""
        deadline = time.monotonic() + 10
        while True:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/login",
                data=json.dumps({"code": secrets.token_hex(16)}).encode(),
                headers={"Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    said = json.load(answer)
                self.skey, self.user_id = said["skey"], str(said["user_id"])
                return
            except urllib.error.HTTPError as refusal:
                if refusal.code != 503 or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name}: login answered {refusal.code}: {refusal.read(500)}") from refusal
                time.sleep(0.05)

    def size(self):
        """Bytes of the binary."""
        return self.path.stat().st_size
