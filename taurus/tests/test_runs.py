"""Real runs of bzt, against real servers."""

import signal
import subprocess
import time
import warnings

import pytest
from bzt_run import Bzt, free_port
from sessions import Site

PLAIN = {"follow-redirects": False}


def execution(scenario: str, **keys) -> dict:
    keys = {key.replace("_", "-"): value for key, value in keys.items()}
    return {"executor": "encarno", "scenario": scenario} | keys


def target(tool: str, listen: str):
    """`encarno target`, and where it is."""
    process = subprocess.Popen(
        [tool, "target", listen, "--delay", "exponential:3ms"], stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().split()[-1]


@pytest.fixture(scope="module")
def address(tool):
    process, address = target(tool, "127.0.0.1:0")
    yield address
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def address6(tool, address):
    try:
        process, address6 = target(tool, "[::1]:0")
    except IndexError:
        warnings.warn("this machine has no IPv6: it isn't tested", stacklevel=1)
        yield address
        return
    yield address6
    process.terminate()
    process.wait(10)


def test_calls_over_grpc(tool, tmp_path, address):
    call = {"url": "/encarno.Echo/Say", "label": "say", "body": {"text": "a", "number": 7}}
    call["assert-jsonpath"] = [{"jsonpath": "$.number", "expected-value": "7"}]
    scenario = PLAIN | {"protocol": "grpc", "requests": [call]}
    scenario["default-address"] = address.replace("http:", "grpc:")
    config = {
        "execution": [execution("grpc", concurrency=2, iterations=50)],
        "scenarios": {"grpc": scenario},
    }
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 0, bzt.said()
    bzt.compare()
    assert int(bzt.rows()["say"]["succ"]) == 100


def test_loads_of_every_kind(tool, tmp_path, address, address6):
    (tmp_path / "urls.txt").write_text(f"listed /\n{address6}/six\n")
    (tmp_path / "ammo.uri").write_text("[X-A: 1]\n/ammo ammo\n/ammo2 ammo2\n")

    def urls(name, *paths, where=address):
        requests = [{"url": path, "label": f"{name} {path}"} for path in paths]
        return PLAIN | {"default-address": where, "requests": requests}

    config = {
        "execution": [
            execution("dummy", throughput=2000, hold_for="3s") | {"executor": "incarne"},
            execution("open", throughput=300, ramp_up="1s", hold_for="2s"),
            execution("steps", concurrency=4, ramp_up="2s", steps=2, hold_for="1s"),
            execution("iterations", concurrency=3, iterations=4),
            execution("both", concurrency=2, iterations=5, hold_for="10m"),
            execution("rated", throughput=100, concurrency=5, iterations=20),
            execution("risen", concurrency=3, iterations=6, ramp_up="1s"),
            execution("six", concurrency=2, hold_for="1s"),
            execution("list", concurrency=2, iterations=3),
            execution("thinking", concurrency=10, hold_for="3s"),
            execution("ammo", concurrency=2, iterations=7),
            execution("down", concurrency=2, iterations=5),
        ],
        "scenarios": {
            "dummy": PLAIN | {"protocol": "dummy", "config": {"protocol": {"delay": "2ms"}}},
            "open": urls("open", "/a", "/b"),
            "steps": urls("steps", "/a"),
            "iterations": urls("iterations", "/a", "/b"),
            "both": urls("both", "/a"),
            "rated": urls("rated", "/a"),
            "risen": urls("risen", "/a"),
            "six": urls("six", "/a", where=address6),
            "list": {"default-address": address, "requests": "urls.txt"},
            "thinking": urls("thinking", "/a") | {"think-time": "700ms"},
            "ammo": {"default-address": address, "script": "ammo.uri"},
            "down": urls("down", "/a", where=f"http://127.0.0.1:{free_port()}"),
        },
    }
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() == 0, bzt.said()
    bzt.compare()
    hits = {label: int(row["throughput"]) for label, row in bzt.rows().items()}
    assert hits["/"] == 6000
    assert hits["open /a"] + hits["open /b"] == 150 + 600
    assert hits["steps /a"] > 100
    assert (hits["iterations /a"], hits["iterations /b"]) == (12, 12)
    assert hits["both /a"] == 10
    assert hits["rated /a"] == 100
    assert hits["risen /a"] == 18
    assert hits["six /a"] > 10
    assert (hits["listed"], hits[f"{address6}/six"]) == (6, 6)
    assert (hits["ammo"], hits["ammo2"]) == (7, 7)
    assert int(bzt.rows()["down /a"]["rc_999"]) == hits["down /a"] == 10
    # Users who think are users.
    assert int(bzt.rows()["thinking /a"]["concurrency"]) == 10
    # Users come in steps: in the first one they are half as many.
    assert int(bzt.rows()["steps /a"]["concurrency"]) == 4


def test_ctrl_c_ends_it_and_nothing_is_lost(tool, tmp_path, address):
    scenario = PLAIN | {"default-address": address, "requests": ["/"]}
    config = {
        "execution": [execution("s", throughput=500, hold_for="1h")],
        "scenarios": {"s": scenario},
    }
    bzt = Bzt(tmp_path, tool, config)
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size > 20_000 for file in bzt.artifacts.glob("*.enc")):
        assert bzt.process.poll() is None and time.monotonic() < deadline, bzt.said()
        time.sleep(0.05)
    bzt.process.send_signal(signal.SIGINT)
    bzt.wait()
    bzt.compare()
    assert int(bzt.rows()[""]["throughput"]) > 100


def test_what_encarno_refuses_is_shown(tool, tmp_path):
    (tmp_path / "ammo.txt").write_text("GARBAGE\n" * 50)
    config = {
        "execution": [execution("s", concurrency=1, iterations=1)],
        "scenarios": {"s": {"script": "ammo.txt", "default-address": "http://127.0.0.1:1"}},
    }
    bzt = Bzt(tmp_path, tool, config)
    assert bzt.wait() != 0
    assert "ammo.txt" in bzt.said() and "encarno's log" in bzt.said()


def test_a_scripted_flow(tool, tmp_path):
    (tmp_path / "users.csv").write_text('user;word\nann;Grüße\nbob;"a,b"\neve;x y\n')
    (tmp_path / "ammo.uri").write_text("/oops oops\n")
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 8192)
    site = Site()
    flow = {
        "default-address": site.address,
        "data-sources": [{"path": "users.csv", "delimiter": ";"}],
        "variables": {"sign": "€"},
        "requests": [
            {
                "url": "/login",
                "method": "POST",
                "label": "login",
                "body": {"user": "${user}", "word": "${word}"},
                "extract-jsonpath": {"token": "$..token"},
                "extract-regexp": {"etag": {"regexp": 'ETag: "(.+?)"', "subject": "headers"}},
                "assert": [{"contains": "200", "subject": "http-code"}],
                "think-time": "uniform(10ms,5ms)",
            },
            {
                "url": "/items/${token}?n=1",
                "label": "items of ${user}",
                "headers": {"If-None-Match": "${etag}"},
                "assert": [
                    {"contains": ["items", "of \\w+$"], "subject": "body"},
                    {"contains": ["items of eve and others"], "not": True},
                ],
            },
            {
                "url": "/echo",
                "method": "POST",
                "label": "echo",
                "body": "Grüße ${user} ${sign}",
                "assert": [{"contains": "(1+1)", "regexp": False, "subject": "body"}],
            },
            {"url": "/oops", "label": "fails", "assert": ["fine"], "on-fail": "next"},
            {"url": "/never", "label": "never"},
        ],
    }
    extract = {"extract-regexp": {"v": "x"}, "assert": [{"contains": "oops", "subject": "body"}]}
    paced = {"url": "/oops", "label": "paced", "follow-redirects": False} | extract
    config = {
        "execution": [
            execution("flow", concurrency=3, iterations=4, ramp_up="500ms"),
            execution("paced", throughput=50, hold_for="2s"),
            execution("ammo", iterations=5),
            execution("large", concurrency=2, iterations=2),
        ],
        "scenarios": {
            "flow": flow,
            "large": {
                "default-address": site.address,
                "requests": [
                    {"url": "/size", "method": "POST", "label": "large", "body-file": "big.bin"},
                    {"url": "/oops", "label": "small"},
                ],
            },
            "paced": {"default-address": site.address, "requests": [paced]},
            "ammo": {"default-address": site.address, "script": "ammo.uri", "think-time": "20ms"},
        },
    }
    try:
        bzt = Bzt(tmp_path, tool, config)
        assert bzt.wait() == 0, bzt.said()
    finally:
        site.close()
    assert site.wrong == []
    bzt.compare()
    rows = bzt.rows()
    hits = {label: int(row["throughput"]) for label, row in rows.items()}
    people = {f"items of {user}": site.logins.count(user) for user in ("ann", "bob", "eve")}
    assert hits == people | {
        "login": 12,
        "echo": 12,
        "fails": 12,
        "paced": 100,
        "oops": 5,
        "large": 4,
        "small": 4,
        "": 12 * 4 + 100 + 5 + 8,
    }
    assert all(count > 0 for count in people.values())
    assert {label for label, row in rows.items() if int(row["fail"])} == {"fails", ""}
    assert int(rows["fails"]["fail"]) == 12
