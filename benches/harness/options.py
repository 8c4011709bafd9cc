"""The command line of `benches/run`."""

import argparse
import pathlib

from . import machine

SCENARIOS = ["auth", "pure", "unknown", "paced", "memory"]
NGINX = ["nginx-lua", "nginx-plain"]


def parse(arguments):
    """The checked options, with `binaries` as {name: path} and `contenders` as an ordered list of names."""
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(
        prog="benches/run",
        description="Compares skeygate with nginx + Lua doing the same work and with nginx forwarding alone, in "
        "interleaved rounds on loopback. Prints Markdown; progress goes to stderr. Judge by the ratios of one run.",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="every contender is measured once per round (default 5)")
    add("--seconds", type=int, default=4, help="length of one measured window (default 4)")
    add("--connections", type=numbers, default=[1, 64, 512], metavar="N,N",
        help="of the auth scenario (default 1,64,512)")
    add("--contenders", type=words, metavar="NAME,NAME", help="default: every --binary, nginx-lua, nginx-plain")
    add("--scenario", type=words, default=SCENARIOS, metavar="NAME,NAME",
        help=f"of {', '.join(SCENARIOS)} (default all)")
    add("--binary", action="append", type=binary, metavar="[NAME=]PATH",
        help="a build of skeygate; repeat to compare builds (default target/release/skeygate)")
    add("--log", choices=["on", "off"], default="on",
        help="one log line per request, to a file, or none; for all contenders alike (default on)")
    add("--cpus", type=numbers, metavar="C,L", help="CPU of the contender and CPU of everything else")
    add("--json", type=pathlib.Path, metavar="FILE", help="also write every single window here")
    options = parser.parse_args(arguments)

    options.root = root
    options.binaries = dict(options.binary or [("skeygate", root / "target/release/skeygate")])
    options.contenders = options.contenders or [*options.binaries, *NGINX]
    options.cpus = options.cpus or machine.two_cpus()
    check(parser, options)
    return options


def check(parser, options):
    """Ends with a usage error that names the cure, before anything is started."""
    if options.rounds < 1 or options.seconds < 1 or min(options.connections) < 1:
        parser.error("--rounds, --seconds and --connections start at 1")
    if max(options.connections) > 1000:
        # The idle upstream connections that nginx may keep, and the upstream requests skeygate runs at once.
        parser.error("--connections ends at 1000")
    if len(options.cpus) != 2 or not set(options.cpus) <= machine.cpus():
        parser.error(f"--cpus takes two of {sorted(machine.cpus())}")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such directory")
    for name in options.scenario:
        if name not in SCENARIOS:
            parser.error(f"no scenario `{name}`; there are {', '.join(SCENARIOS)}")
    for name in options.binaries:
        if name in NGINX:
            parser.error(f"--binary {name}=…: the name is taken by a contender that is not a build of skeygate")
    for name in options.contenders:
        if name in options.binaries:
            path = options.binaries[name]
            if not path.is_file():
                parser.error(f"contender {name}: no file {path}; `cargo build --release`, or leave it out of --contenders")
        elif name not in NGINX:
            parser.error(f"no contender `{name}`; there are {', '.join([*options.binaries, *NGINX])}")


def binary(text):
    """`PATH` is the build called skeygate."""
    name, separator, path = text.partition("=")
    return (name, pathlib.Path(path)) if separator else ("skeygate", pathlib.Path(text))


def words(text):
    return list(dict.fromkeys(text.split(",")))


def numbers(text):
    return [int(word) for word in text.split(",")]
