"""The nginx instances: the upstream, nginx-plain and nginx-lua. conf/ holds their files."""

import base64
import functools
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import subprocess

from . import children
from .wechat import OPENID

CONF = pathlib.Path(__file__).resolve().parents[1] / "conf"
APPID = "wx0123456789abcdef"
USER_ID = "4503599627370497"
BODY = '{"filler":"' + "x" * 1011 + '"}'


class Nginx:
    """One nginx with one worker. `kind` names the file in conf/."""

    def __init__(self, kind, bench, cpu, suffix=""):
        self.name = kind
        self.directory = bench.directory / f"{kind}{suffix}"
        self.directory.mkdir()
        self.port = children.free_port()
        self.log = self.directory / "access.log"
        self.modules = ["ndk_http_module.so", "ngx_http_lua_module.so"] if kind == "nginx-lua" else []
        config = self.directory / "nginx.conf"
        config.write_text(self.render(bench))
        self.output = self.directory / "out"
        self.process = bench.family.start(["nginx", "-p", f"{self.directory}/", "-c", str(config)], cpu, self.output)
        self.skey = self.user_id = None
        self.requested = self.logged = 0
        if kind == "nginx-lua":
            self.log_in(bench.store)

    def render(self, bench):
        values = {
            "COMMON": (CONF / "common.conf").read_text(),
            "HTTP": (CONF / "http.conf").read_text(),
            "DIR": self.directory,
            "CONF": CONF,
            # Started by root, nginx's worker would be another user and not read the run's directory.
            "USER": "user root;" if os.geteuid() == 0 else "",
            "MODULES": "\n".join(f"load_module {module_directory() / name};" for name in self.modules),
            "FILES": bench.files,
            "CONNECTIONS": max(1024, bench.files - 1000),
            "PORT": self.port,
            "UPSTREAM": bench.upstream.port if self.name != "upstream" else "",
            "REDIS": bench.store.port,
            "APPID": APPID,
            "BODY": BODY,
            # Buffered, nginx's best: unbuffered, which is its default, costs a write per request.
            "LOG": f"{self.log} line buffer=64k flush=1s" if bench.options.log == "on" else "off",
        }
        text = "@COMMON@" + (CONF / f"{self.name}.conf").read_text().replace("@COMMON@", "")
        for _ in range(2):
            text = re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), text)
        return text

    def wait(self):
        children.wait_for_port(self.process, self.port, self.output)

    def log_in(self, store):
        """What this contender's own login code would have left in Redis."""
        self.skey = secrets.token_urlsafe(32)
        self.user_id = USER_ID
        digest = base64.urlsafe_b64encode(hashlib.sha256(self.skey.encode()).digest()).decode().rstrip("=")
        store.set(f"lua:s:{digest}", f"{OPENID}\t{USER_ID}")

    def size(self):
        """Bytes of the program and the modules it loads, shared libraries not counted."""
        files = [pathlib.Path(shutil.which("nginx")), *(module_directory() / name for name in self.modules)]
        return sum(file.stat().st_size for file in files)


@functools.cache
def module_directory():
    said = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"--modules-path=(\S+)", said)
    return pathlib.Path(found[1] if found else "/usr/lib/nginx/modules")
