"""Debian packages that a run needs, installed only when missing."""

import os
import pathlib
import shutil
import subprocess

PROGRAMS = {"nginx": "nginx-light", "redis-server": "redis-server", "wrk": "wrk"}
FILES = {"/usr/share/lua/5.1/nginx/redis.lua": "lua-nginx-redis"}
LUA = "libnginx-mod-http-lua"


def install_missing():
    """Raises RuntimeError with the command to type when something is missing and cannot be installed from here."""
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    missing += [package for file, package in FILES.items() if not pathlib.Path(file).exists()]
    if not list(pathlib.Path("/usr/lib").glob("**/nginx/modules/ngx_http_lua_module.so")):
        missing.append(LUA)
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"missing: {', '.join(missing)}; run `sudo {' '.join(command)}`")
    # RUNLEVEL=1 keeps the packages from starting services of their own.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
