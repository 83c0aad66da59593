"""HTTP load generators, with the options that make each do the same work."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

from processes import ROOT, Failure, path
from tables import first_line

ENCARNO = "target/release/encarno"
# The folder for peers that Debian doesn't have; `bench/hits --install` installs them.
PEERS = os.path.join(ROOT, "target/peers")
OHA = "1.16.0"
VEGETA = "v12.13.0"
GHZ = "v0.121.0"


@dataclass
class Finished:
    """A program that has ended, with its output and the resources that it used."""

    output: str
    seconds: float
    cpu_us: float
    rss_mb: float


def peak_rss_mb(pid):
    """The peak memory of a process; 0 if it has ended."""
    with open(f"/proc/{pid}/status") as file:
        found = re.search(r"VmHWM:\s+(\d+)", file.read())
    return int(found[1]) / 1024 if found else 0


def run(command, folder, seconds=180, env=None):
    """Runs a program to its end in a folder for its files."""
    output, errors = os.path.join(folder, "output"), os.path.join(folder, "errors")
    with open(output, "wb") as out, open(errors, "wb") as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env={**os.environ, **(env or {})}
        )
        rss_mb = 0
        # wait4 returns the usage of this one child with all of its threads. But its maximum of
        # memory includes this process at the time of the fork.
        while True:
            rss_mb = max(rss_mb, peak_rss_mb(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > seconds:
                process.kill()
                os.wait4(process.pid, 0)
                raise Failure(f"{command[0]} didn't end within {seconds} s")
            time.sleep(0.02)
        ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    text, said = (open(name, errors="replace").read() for name in (output, errors))
    if process.returncode != 0:
        raise Failure(f"{' '.join(command)} ended with {process.returncode}: {text[-1000:]}{said[-1000:]}")
    return Finished(text, ended - began, (usage.ru_utime + usage.ru_stime) * 1e6, rss_mb)


@dataclass
class Tool:
    """A load generator. `closed` and `open` return its command, and `hits` the number of
    answers with status 200 that it counted."""

    name: str
    version: str
    closed: object = None
    open: object = None
    hits: object = None
    env: dict = field(default_factory=dict)


def counted(pattern):
    """The number that a regular expression finds in a tool's output."""

    def hits(finished, _folder):
        found = re.search(pattern, finished.output)
        if not found:
            raise Failure(f"no count in: {finished.output[-1000:]}")
        return int(found[1])

    return hits


def recorded(_finished, folder):
    """The hits in the file, not those that were printed while running."""
    stats = json.loads(run([path(ENCARNO), "stats", "--json", os.path.join(folder, "run.enc")], folder).output)
    total = stats["total"]
    if total["failed"]:
        raise Failure(f"{total['failed']} of {total['hits']} hits failed: {stats}")
    return total["hits"]


def encarno(name="encarno", *flags):
    def closed(url, connections, seconds, folder):
        return [path(ENCARNO), "hit", url, "--connections", str(connections), "--for", f"{seconds}s",
                "-o", os.path.join(folder, "run.enc"), "--quiet", *flags]  # fmt: skip

    def opened(url, rate, seconds, folder):
        return [path(ENCARNO), "hit", url, "--rate", f"const({rate},{seconds}s)", "--connections", "200",
                "-o", os.path.join(folder, "run.enc"), "--quiet", *flags]  # fmt: skip

    return Tool(name, "", closed, opened, recorded)


def wrk():
    return Tool(
        "wrk -t1", first_line("wrk", "-v").split(" ")[1],
        lambda url, connections, seconds, _: ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        hits=counted(r"(\d+) requests in"),
    )  # fmt: skip


def h2load():
    return Tool(
        "h2load --h1", re.search(r"nghttp2/(\S+)", first_line("h2load", "--version"))[1],
        lambda url, connections, seconds, _: ["h2load", "--h1", "-t1", f"-c{connections}", f"-D{seconds}", url],
        hits=counted(r"(\d+) succeeded"),
    )  # fmt: skip


def oha(program):
    def hits(finished, _folder):
        return json.loads(finished.output)["statusCodeDistribution"]["200"]

    common = [program, "--no-tui", "--output-format", "json"]
    return Tool(
        "oha", OHA,
        lambda url, connections, seconds, _: [*common, "-z", f"{seconds}s", "-c", str(connections), url],
        lambda url, rate, seconds, _: [*common, "-z", f"{seconds}s", "-c", "200", "-q", str(rate), "--latency-correction", url],
        hits,
    )  # fmt: skip


def vegeta(program):
    def attack(url, rate, seconds, connections, folder):
        with open(os.path.join(folder, "targets"), "w") as file:
            file.write(f"GET {url}\n")
        return [program, "attack", f"-rate={rate}", f"-duration={seconds}s", f"-max-workers={connections}",
                f"-workers={min(connections, 16)}", f"-connections={connections}",
                "-targets=targets", "-output=results"]  # fmt: skip

    def hits(_finished, folder):
        report = run([program, "report", "-type=json", "results"], folder)
        return json.loads(report.output)["status_codes"]["200"]

    return Tool(
        "vegeta", VEGETA,
        lambda url, connections, seconds, folder: attack(url, 0, seconds, connections, folder),
        lambda url, rate, seconds, folder: attack(url, rate, seconds, 200, folder),
        hits,
    )  # fmt: skip


def hey():
    version = first_line("dpkg-query", "-W", "-f=${Version}", "hey")
    return Tool(
        "hey", version,
        lambda url, connections, seconds, _: ["hey", "-z", f"{seconds}s", "-c", str(connections), url],
        # Its option for the rate is that of each worker.
        lambda url, rate, seconds, _: ["hey", "-z", f"{seconds}s", "-c", "50", "-q", str(rate // 50), url],
        counted(r"\[200\]\s+(\d+) responses"),
    )  # fmt: skip


def k6():
    env = {"K6_NO_USAGE_REPORT": "true", "K6_AUTO_EXTENSION_RESOLUTION": "false"}

    def command(url, seconds, *flags):
        return [path("k6"), "run", "--quiet", "--address", "", "-e", f"URL={url}", "-e", f"SECONDS={seconds}",
                *flags, path("bench/hits.js")]  # fmt: skip

    return Tool(
        "k6", re.search(r"v[0-9.]+", first_line(path("k6"), "version"))[0],
        lambda url, connections, seconds, _: command(url, seconds, "-e", f"VUS={connections}"),
        lambda url, rate, seconds, _: command(url, seconds, "-e", f"RATE={rate}"),
        counted(r'"good":(\d+)'), env=env,
    )  # fmt: skip


# A message of encarno.Echo/Say with the text "hello", as a body has it.
GRPC_BODY = b"\x00\x00\x00\x00\x07\x0a\x05hello"
GRPC_METHOD = "encarno.Echo/Say"


def grpc_tools():
    """Those that call a unary method, over one connection with so many streams."""

    def ours(address, streams, seconds, folder):
        return [path(ENCARNO), "hit", f"grpc://{address}/{GRPC_METHOD}", "-d", '{"text": "hello"}', "-c", "1",
                "--streams", str(streams), "--threads", "1", "--for", f"{seconds}s",
                "-o", os.path.join(folder, "run.enc"), "--quiet"]  # fmt: skip

    def raw(address, streams, seconds, folder):
        with open(os.path.join(folder, "body"), "wb") as file:
            file.write(GRPC_BODY)
        return ["h2load", "-t1", "-c1", f"-m{streams}", f"-D{seconds}", "-d", "body", "-H", "te: trailers",
                "-H", "content-type: application/grpc", f"http://{address}/{GRPC_METHOD}"]  # fmt: skip

    def ghz(address, streams, seconds, _):
        return [f"{PEERS}/bin/ghz", "--insecure", "--connections", "1", "--concurrency", str(streams), "--call",
                GRPC_METHOD, "-d", '{"text": "hello"}', "-z", f"{seconds}s", "-O", "json", address]  # fmt: skip

    def ghz_hits(finished, _folder):
        return json.loads(finished.output)["statusCodeDistribution"]["OK"]

    tools = [Tool("encarno", "", ours, hits=recorded)]
    if shutil.which("h2load"):
        tools.append(Tool("h2load, raw frames", "", raw, hits=counted(r"(\d+) succeeded")))
    if os.path.exists(f"{PEERS}/bin/ghz"):
        tools.append(Tool("ghz", GHZ, ghz, hits=ghz_hits))
    return tools


def http3_tools():
    """Those that send HTTP/3 over one connection with so many streams."""

    def ours(url, streams, seconds, folder):
        return [path(ENCARNO), "hit", url, "--http3", "--insecure", "-c", "1", "--streams", str(streams),
                "--threads", "1", "--for", f"{seconds}s", "-o", os.path.join(folder, "run.enc"), "--quiet"]  # fmt: skip

    def quic_go(url, streams, seconds, _):
        return [path("bin/http3-peer"), "fetch", "-for", f"{seconds}s", "-streams", str(streams), url]

    def of_oha(url, streams, seconds, _):
        return [f"{PEERS}/bin/oha", "--no-tui", "--output-format", "json", "--http-version", "3", "--insecure",
                "-z", f"{seconds}s", "-c", "1", "-p", str(streams), url]  # fmt: skip

    tools = [Tool("encarno", "", ours, hits=recorded)]
    if os.path.exists(f"{PEERS}/bin/oha"):
        tools.append(Tool("oha", OHA, of_oha, hits=oha("").hits))
    return [*tools, Tool("http3-peer", "", quic_go, hits=counted(r"(\d+) answers"))]


def wrpc_tools():
    """Those that make blasts over NATS, so many at a time."""

    def ours(url, prefix, in_flight, seconds, folder):
        url = f"wrpc+{url}/{prefix}"
        return [path(ENCARNO), "hit", url, "-c", "1", "--streams", str(in_flight), "--threads", "1",
                "--for", f"{seconds}s", "-o", os.path.join(folder, "run.enc"), "--quiet"]  # fmt: skip

    def bare(url, prefix, in_flight, seconds, _):
        return [path("target/release/examples/blast"), url, prefix, str(in_flight), "0", str(seconds)]

    return [
        Tool("encarno", "", ours, hits=recorded),
        Tool("the bare client", "", bare, hits=counted(r'"calls": (\d+)')),
    ]


def components():
    """Protocols that are components: their name, their server, and the component beside the
    native protocol with the same answers."""

    def hit(address, streams, seconds, folder, *flags):
        # In no time, it makes one hit.
        end = ["--for", f"{seconds}s"] if seconds else ["-n", "1"]
        return [path(ENCARNO), "hit", f"tcp://{address}", "-c", "1", "--streams", str(streams), "--threads", "1",
                *end, "-o", os.path.join(folder, "run.enc"), "--quiet", *flags]  # fmt: skip

    def pair(component, command, ending):
        flags = ["--nib", path(f"_examples/guests/{component}"), "-d", command]
        native = ["-d", f"{command}\\r\\n", "--answer-until", ending]
        return [
            Tool("encarno", "", lambda *given: hit(*given, *flags), hits=recorded),
            Tool("native", "", lambda *given: hit(*given, *native), hits=recorded),
        ]

    known = [
        ("resp", "redis-server", pair("resp.wasm", "PING", "\\r\\n")),
        ("memcached", "memcached", pair("memcached.wasm", "get key", "END\\r\\n")),
    ]
    return [one for one in known if shutil.which(one[1])]


def install():
    """Installs the peers that this machine supports, and prints those that it doesn't."""
    from_debian = path("scripts/from-debian")
    packages = {"wrk": "wrk", "h2load": "nghttp2-client", "hey": "hey"}
    packages |= {"redis-server": "redis-server", "memcached": "memcached"}
    for program, package in packages.items():
        subprocess.run([from_debian, program, package, "it can be measured"])
    os.makedirs(PEERS, exist_ok=True)
    if not os.path.exists(f"{PEERS}/bin/oha"):
        print("building oha", file=sys.stderr)
        subprocess.run(
            ["cargo", "install", "oha", "--quiet", "--version", OHA, "--locked", "--features", "http3",
             "--root", PEERS],
            env={**os.environ, "CARGO_TARGET_DIR": f"{PEERS}/oha"}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    modules = {"vegeta": ("github.com/tsenart/vegeta/v12", VEGETA), "ghz": ("github.com/bojand/ghz/cmd/ghz", GHZ)}
    for program, (name, version) in modules.items():
        if os.path.exists(f"{PEERS}/bin/{program}"):
            continue
        print(f"building {program}", file=sys.stderr)
        module = f"{PEERS}/{program}"
        os.makedirs(module, exist_ok=True)
        with open(f"{module}/go.mod", "w") as file:
            file.write("module peers\n")
        for command in (["go", "get", f"{name}@{version}"], ["go", "build", "-o", f"{PEERS}/bin/", name]):
            subprocess.run(command, cwd=module, stdin=subprocess.DEVNULL)


def available():
    """The installed tools, ours first."""
    tools = [encarno("encarno --threads 1", "--threads", "1"), encarno()]
    named = {
        "wrk": wrk,
        "h2load": h2load,
        f"{PEERS}/bin/oha": lambda: oha(f"{PEERS}/bin/oha"),
        f"{PEERS}/bin/vegeta": lambda: vegeta(f"{PEERS}/bin/vegeta"),
        "hey": hey,
        os.path.join(ROOT, "k6"): k6,
    }
    for program, tool in named.items():
        if shutil.which(program):
            tools.append(tool())
        else:
            print(f"{os.path.basename(program)} isn't there and is left out", file=sys.stderr)
    return tools


def raise_file_limit():
    """Ten thousand connections need as many descriptors."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
