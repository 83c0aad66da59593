"""Starts and ends the processes of a measurement, and reads their CPU times."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Failure(Exception):
    """The reason why something couldn't be measured."""


def path(name):
    """The path of a file in the checkout, which must exist."""
    whole = os.path.join(ROOT, name)
    if not os.path.exists(whole):
        raise Failure(f"{name} is missing: run `make bench`")
    return whole


def free_port():
    """A free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_us(pid):
    """The CPU time of a process with all its threads, including those that have ended.

    The clock of another process counts in nanoseconds, where /proc/PID/stat
    counts in hundredths of a second. See clock_getcpuclockid(3).
    """
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e3


def threads(pid):
    """The current number of a process's threads."""
    return len(os.listdir(f"/proc/{pid}/task"))


class Processes:
    """Ends the processes that it started at the end of the `with` block."""

    def __init__(self):
        self.running = []
        self.folder = None

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="encarno-bench-")
        self.folder = self.scratch.name
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            self.end(process)
        self.scratch.cleanup()

    def start(self, name, command, ready, env=None, seconds=60):
        """Starts a program and waits until `ready(output)` is true."""
        log = os.path.join(self.folder, f"{name}.log")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )
        process.log = log
        self.running.append(process)
        deadline = time.monotonic() + seconds
        while True:
            with open(log, errors="replace") as output:
                text = output.read()
            if ready(text):
                return process
            if process.poll() is not None or time.monotonic() > deadline:
                ended = "ended" if process.poll() is not None else "was not ready in time"
                raise Failure(f"{name} {ended}: {text[-2000:]}")
            time.sleep(0.01)

    def end(self, process):
        """Ends a program, and kills it if it doesn't end."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.running:
            self.running.remove(process)

    def redis_server(self):
        """Starts redis-server, and returns it with its address."""
        port = free_port()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        process = self.start("redis-server", command, lambda text: "Ready to accept" in text)
        return process, f"127.0.0.1:{port}"

    def memcached(self):
        """Starts memcached, and returns it with its address."""
        port = free_port()
        command = ["memcached", "-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-p", str(port)]

        def answers(_):
            """Whether it has stored a key."""
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) != 0:
                    return False
                client.sendall(b"set key 0 0 5\r\nhello\r\n")
                return client.recv(16) == b"STORED\r\n"

        return self.start("memcached", command, answers), f"127.0.0.1:{port}"

    def nats_server(self):
        """Starts nats-server, and returns it with its address."""
        port = free_port()
        command = [path("bin/nats-server"), "--addr", "127.0.0.1", "--port", str(port)]
        process = self.start("nats-server", command, lambda text: "Server is ready" in text)
        return process, f"nats://127.0.0.1:{port}"

    def receiver(self, url, prefix, component):
        """Starts our receiver over NATS."""
        program = path("target/release/wrpc-wasmtime-nats")
        command = [program, "serve", "-n", url, prefix, prefix, path(component)]
        return self.start("receiver", command, lambda text: "ready" in text, {"RUST_LOG": "error"})

    def receiver_tcp(self, component):
        """Starts our receiver over TCP. Its `addr` is the address."""
        command = [path("target/release/wrpc-wasmtime-tcp"), "serve", "127.0.0.1:0", path(component)]
        return self.start_tcp("receiver over TCP", command)

    def start_tcp(self, name, command):
        """Starts a program that prints its address in a line with "ready"."""
        ready = re.compile(r"ready.* at ([0-9.:]+).*\n")
        process = self.start(name, command, ready.search, {"RUST_LOG": "error"})
        with open(process.log) as log:
            process.addr = ready.search(log.read())[1]
        return process

    def nginx(self, body="ok"):
        """Starts nginx with one worker, and returns the worker's pid and an address. It answers
        a GET with `body`, and a POST, too, after it has read the request's body."""
        if not shutil.which("nginx"):
            package = [path("scripts/from-debian"), "nginx", "nginx-light", "the benchmark can be run"]
            if subprocess.run(package).returncode != 0:
                raise Failure("nginx is the peer that k6's own http is measured against")
        port = free_port()
        configuration = os.path.join(self.folder, "nginx.conf")
        with open(configuration, "w") as file:
            file.write(
                f"""
daemon off; worker_processes 1; pid {self.folder}/nginx.pid;
error_log {self.folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {self.folder}; proxy_temp_path {self.folder};
  fastcgi_temp_path {self.folder}; uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
  client_body_buffer_size 1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "{body}"; }}
    # `return` doesn't wait for the request's body; a mirror does.
    location = /count {{ mirror /sink; empty_gif; error_page 405 =200 @read; }}
    location = /sink {{ internal; return 204; }}
    location @read {{ return 200 "{body}"; }}
  }}
}}
"""
            )

        def answers(_):
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read() == body.encode()
            except OSError:
                return False

        process = self.start("nginx", ["nginx", "-c", configuration], answers)
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            worker = int(children.read().split()[0])
        return worker, f"http://127.0.0.1:{port}/"


class K6:
    """One run of k6, measured while it runs at full load."""

    def __init__(self, processes, script, vus, seconds, env):
        self.processes = processes
        self.port = free_port()
        self.output = tempfile.TemporaryFile(dir=processes.folder)
        self.errors = tempfile.TemporaryFile(dir=processes.folder)
        self.process = subprocess.Popen(
            [path("k6"), "run", "--quiet", "--address", f"127.0.0.1:{self.port}",
             "--vus", str(vus), "--duration", f"{seconds}s", path(f"bench/{script}")],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.errors,
            env={**os.environ, **env, "K6_NO_USAGE_REPORT": "true",
                 "K6_AUTO_EXTENSION_RESOLUTION": "false"},
        )  # fmt: skip
        processes.running.append(self.process)

    def count(self, metric):
        """The current value of the metric's counter."""
        url = f"http://127.0.0.1:{self.port}/v1/metrics/{metric}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]["attributes"]["sample"]["count"]
        except (OSError, KeyError):
            return 0  # not yet there

    def measure(self, metric, pids, warm_up_s, window_s):
        """The calls and CPU times in a window, and the latencies of the whole run."""
        deadline = time.monotonic() + 60
        while not self.count(metric):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"k6 made no calls: {self.read(self.errors)[-2000:]}")
            time.sleep(0.02)
        time.sleep(warm_up_s)
        pids = {"k6": self.process.pid, **pids}
        before = self.count(metric), time.monotonic(), {name: cpu_us(pid) for name, pid in pids.items()}
        most_threads = 0
        end = before[1] + window_s
        while time.monotonic() < end:
            time.sleep(min(0.25, max(0.0, end - time.monotonic())))
            most_threads = max(most_threads, threads(self.process.pid))
        after = self.count(metric), time.monotonic(), {name: cpu_us(pid) for name, pid in pids.items()}
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise Failure("k6 didn't end") from None
        self.processes.running.remove(self.process)
        calls = after[0] - before[0]
        try:
            summary = json.loads(self.read(self.output))
        except ValueError:
            raise Failure(f"k6 gave no summary: {self.read(self.errors)[-2000:]}") from None
        if calls <= 0 or summary["failed"]:
            raise Failure(f"{calls} calls, {summary['failed']} failed: {self.read(self.errors)[-2000:]}")
        point = {f"cpu_{name}": (after[2][name] - before[2][name]) / calls for name in pids}
        point |= {"rate": calls / (after[1] - before[1]), "threads": most_threads}
        return point | {"p50": summary["p50_ms"], "p99": summary["p99_ms"]}

    @staticmethod
    def read(file):
        """The process's output in the file."""
        file.seek(0)
        return file.read().decode(errors="replace")
