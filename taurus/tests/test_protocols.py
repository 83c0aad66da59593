"""Protocols, and components: what their keys become, and real runs with some of them."""

import socketserver
import subprocess
import threading
from pathlib import Path

import pytest
from bzt import TaurusConfigError
from bzt_run import TAURUS, Bzt, free_port

REPOSITORY = TAURUS.parent
GUESTS = REPOSITORY / "_examples/guests"


def payload_of(config: dict) -> bytes:
    return Path(config["input"]["payloadfile"]).read_bytes()


def test_http_in_its_versions(configure):
    tls = {"insecureskipverify": True}
    scenario = {"protocol": "http2", "streams": 10, "options": {"window": 65535}, "tls-config": tls}
    scenario |= {"requests": [{"url": "/a", "follow-redirects": True}], "follow-redirects": None}
    config = configure(scenario)
    assert config["protocol"] == {
        "driver": "http2",
        "options": {"window": "65535"},
        "timeout": "10s",
        "streams": 10,
        "tlsconf": tls,
    }
    assert config["workers"]["cookies"] is True
    assert b"GET /a HTTP/1.1\r\n" in payload_of(config)
    config = configure({"protocol": "http3", "default-address": "https://h:1"}, {"concurrency": 2})
    assert config["protocol"]["driver"] == "http3"
    assert b'"address": "https://h:1"' in payload_of(config)


def test_bytes_have_one_address_and_no_url(configure, notes):
    requests = [{"body": "PING\r\n"}, {"body": {"n": 1}, "label": "json"}]
    scenario = {"default-address": "tcp://h:1/", "requests": requests, "headers": {"A": 1}}
    config = configure(scenario | {"protocol": "tcp", "options": {"answer-until": r"\r\n"}})
    assert config["protocol"]["address"] == "tcp://h:1"
    assert config["protocol"]["options"] == {"answer-until": r"\r\n"}
    assert b'"label": "tcp"}\nPING\r\n\n' in payload_of(config)
    assert b'"label": "json"}\n{"n": 1}\n' in payload_of(config)
    assert any("headers: tcp" in text for text in notes.said)
    with pytest.raises(TaurusConfigError, match="body alone"):
        configure(scenario | {"protocol": "tls", "requests": ["/a"]})
    for protocol in ("tcp", "websocket", "wrpc", "wrpc-http", "echo"):
        with pytest.raises(TaurusConfigError, match="default-address"):
            configure({"protocol": protocol, "default-address": None})
    with pytest.raises(TaurusConfigError, match="http2"):
        configure({"protocol": "spdy"})
    with pytest.raises(TaurusConfigError, match="options"):
        configure({"options": "window=1"})


def test_headers_of_connections(configure):
    scenario = {"default-address": "ws://h/chat", "headers": {"X-A": 1}}
    scenario |= {"requests": [{"body": {"n": 1}}]}
    config = configure(scenario | {"protocol": "websocket"})
    assert config["protocol"]["address"] == "ws://h/chat"
    assert config["input"]["headers"] == {"X-A": "1"}
    assert b'{"n": 1}' in payload_of(config)


def test_calls_over_wrpc(configure, tmp_path):
    (tmp_path / "wit").mkdir()
    scenario = {
        "protocol": "wrpc",
        "default-address": "wrpc+nats://h/wasmtime",
        "options": {"call": "a:b/c.d", "wit": "wit"},
        "requests": [{"body": ["${id}", 1]}],
        "variables": {"id": 7},
    }
    config = configure(scenario)
    assert config["protocol"]["options"] == {"call": "a:b/c.d", "wit": str(tmp_path / "wit")}
    assert b'["${id}", 1]' in payload_of(config)
    scenario = {"protocol": "wrpc-http", "default-address": "wrpc+tcp://h:1/http"}
    config = configure(scenario | {"requests": ["/a"]})
    assert config["protocol"]["address"] == "wrpc+tcp://h:1/http"
    assert b"GET /a HTTP/1.1\r\nHost: localhost\r\n" in payload_of(config)


def test_a_nib_is_a_protocol(configure, tmp_path):
    (tmp_path / "resp.wasm").write_bytes(b"")
    nib = {"wasm": "resp.wasm", "settings": "a=1", "sha256": "12ab"}
    scenario = {"nib": nib, "default-address": "tcp://h:1", "requests": [{"body": "GET key"}]}
    config = configure(scenario, settings={"protocol": "http2"})
    assert config["nib"] == nib | {"wasm": str(tmp_path / "resp.wasm")}
    assert config["protocol"] == {"timeout": "10s", "address": "tcp://h:1"}
    assert configure({"protocol": "http"}, settings={"nib": nib})["protocol"]["driver"] == "http"
    for wrong in (scenario | {"protocol": "tcp"}, scenario | {"nib": "resp.wasm"}):
        with pytest.raises(TaurusConfigError, match="nib"):
            configure(wrong)


@pytest.fixture
def component(tmp_path):
    """The name of a file that exports such an interface."""

    def made(interface: str) -> dict:
        path = tmp_path / f"{interface}.wasm"
        path.write_bytes(f"\0asm…encarno:scenario/{interface}@0.1.0…".encode())
        return {"scenario-component": {"wasm": path.name, "settings": "a=1"}}

    return made


def test_a_component_decides_the_load(configure, component, notes, tmp_path):
    load = {"concurrency": 9, "hold-for": "1m", "ramp-up": "5s", "iterations": 3}
    config = configure(component("shaper"), load)
    assert config["scenario"] == {"wasm": str(tmp_path / "shaper.wasm"), "settings": "a=1"}
    assert config["workers"] == {"values": {}, "maxworkers": 9, "duration": "60s"}
    assert "iterationlimit" not in config["input"]
    assert {text.partition(":")[0] for text in notes.said} == {"ramp-up", "iterations"}
    assert configure(component("shaper"))["workers"] == {"values": {}}


def test_a_component_decides_the_order(configure, component):
    requests = [{"url": "/a", "assert": ["a"]}, {"url": "/b", "label": "b"}]
    load = {"throughput": 9, "hold-for": "1m"}
    config = configure({"requests": requests}, load | component("chooser"))
    assert config["workers"]["mode"] == "open"
    assert config["input"]["sharing"] == "shared"


def test_a_component_has_users(configure, component):
    scenario = {"requests": None, "headers": {"X-A": 1}} | component("users")
    config = configure(scenario, {"concurrency": 3, "hold-for": "1m"})
    assert config["input"] == {"headers": {"X-A": "1"}}
    assert config["protocol"]["address"] == "http://h"
    assert (config["workers"]["mode"], config["workers"]["maxworkers"]) == ("closed", 3)
    with pytest.raises(TaurusConfigError, match="requests: users"):
        configure(component("users"))
    with pytest.raises(TaurusConfigError, match="throughput: users"):
        configure(scenario, {"throughput": 3, "hold-for": "1m"})


def test_what_is_no_scenario_component_is_told(configure, component, tmp_path):
    with pytest.raises(TaurusConfigError, match="exports none of shaper, chooser, users"):
        configure(component("protocol"))
    with pytest.raises(TaurusConfigError, match=r"gone\.wasm"):
        configure({"scenario-component": {"wasm": "gone.wasm"}})
    with pytest.raises(TaurusConfigError, match="write keys"):
        configure({"scenario-component": "shaper.wasm"})


class Lines(socketserver.ThreadingTCPServer):
    """Answers lines: with themselves, or as Redis answers a GET."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, redis: bool = False) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while line := self.rfile.readline():
                    if not redis:
                        self.wfile.write(line)
                        continue
                    for _ in range(2 * int(line[1:])):
                        self.rfile.readline()
                    self.wfile.write(b"$5\r\nvalue\r\n")

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_args) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.server_address[1]}"


def scenario(label: str, address: str, **keys) -> dict:
    request = {"label": label} | keys.pop("request", {"url": "/"})
    keys = {key.replace("_", "-"): value for key, value in keys.items()}
    return {"default-address": address, "follow-redirects": False, "requests": [request]} | keys


def test_hits_over_every_protocol(tool, tmp_path):
    plain, secure = (f"127.0.0.1:{free_port()}" for _ in range(2))
    receiver = subprocess.Popen(
        [
            str(REPOSITORY / "target/release/wrpc-wasmtime-tcp"),
            "serve",
            "127.0.0.1:0",
            str(REPOSITORY / "blaster-component/blaster-component.wasm"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    blast = {"body": "hello"}
    with receiver, Lines() as lines, Lines(redis=True) as redis:
        blasts = receiver.stdout.readline().partition(" at ")[2].split()[0]
        insecure = {"insecureskipverify": True}
        until = {"answer-until": r"\n"}
        scenarios = {
            "h2c": scenario("h2c", f"http://{plain}", protocol="http2", streams=2),
            "h3": scenario("h3", f"https://{secure}", protocol="http3", tls_config=insecure),
            "ws": scenario("ws", f"ws://{plain}/a", protocol="websocket", request={"body": "1"}),
            "tcp": scenario(
                "tcp", lines.address, protocol="tcp", options=until, request={"body": "PING\r\n"}
            ),
            "nib": scenario(
                "nib",
                redis.address,
                nib={"wasm": str(GUESTS / "resp.wasm")},
                request={"body": "GET key", "assert": ["value"]},
            ),
            "wrpc": scenario(
                "wrpc",
                f"wrpc+tcp://{blasts}",
                protocol="wrpc",
                options={"wait-ms": 1},
                request=blast,
            ),
        }
        executions = [
            {"executor": "encarno", "scenario": name, "concurrency": 2, "iterations": 25}
            for name in scenarios
        ]
        target = {"module": "encarno-target"}
        config = {
            "execution": executions,
            "scenarios": scenarios,
            "services": [
                target | {"listen": plain},
                target | {"listen": secure, "tls": True},
            ],
        }
        bzt = Bzt(tmp_path, tool, config)
        try:
            assert bzt.wait() == 0, bzt.said()
        finally:
            receiver.terminate()
    bzt.compare()
    succeeded = {label: int(row["succ"]) for label, row in bzt.rows().items()}
    assert succeeded.pop("") == 50 * len(scenarios)
    assert succeeded == dict.fromkeys(scenarios, 50)


def test_components_decide(tool, tmp_path):
    listen = f"127.0.0.1:{free_port()}"
    address = f"http://{listen}"
    often = ("often", "seldom", "rarely")
    kinds = [{"url": f"/{kind}", "label": kind} for kind in often]

    def of(name: str, settings: str, **keys) -> dict:
        component = {"wasm": str(GUESTS / f"{name}.wasm"), "settings": settings}
        plain = {"default-address": address, "follow-redirects": False}
        return plain | {"scenario-component": component} | keys

    config = {
        "execution": [
            {"executor": "encarno", "scenario": "shape"},
            {"executor": "encarno", "scenario": "choose", "throughput": 300, "hold-for": "2s"},
            {"executor": "encarno", "scenario": "behave", "concurrency": 5, "hold-for": "2s"},
        ],
        "scenarios": {
            "shape": of("sine", "mean=200 swing=100 period=2 for=4", requests=["/shaped"]),
            "choose": of("mix", "often=7 seldom=2 rarely=1", requests=kinds),
            "behave": of("shopper", "think=10 items=2 buys=0.5 patience=60000"),
        },
        "services": [{"module": "encarno-target", "listen": listen}],
    }
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 0, bzt.said()
    hits = {label: int(row["throughput"]) for label, row in bzt.rows().items()}
    # Two periods of a sine around 200 hits/s.
    assert abs(hits["/shaped"] - 800) <= 2
    chosen = [hits[kind] for kind in often]
    assert sum(chosen) == 600 and chosen[0] > chosen[1] > chosen[2] > 0
    users = hits[""] - hits["/shaped"] - sum(chosen)
    assert users >= 5
