"""bzt in a terminal, as a functional test, and ended from outside."""

import re
import signal
import time
from xml.etree import ElementTree

import psutil
import pytest
from bzt_run import Bzt, free_port
from sessions import Site

DUMMY = {"protocol": "dummy", "requests": [{"url": "/", "label": "a hit"}]}


def endless(**keys) -> dict:
    execution = {"executor": "encarno", "scenario": "s", "throughput": 200, "hold-for": "1h"}
    return {"execution": [execution | keys], "scenarios": {"s": DUMMY}}


def wait_for_hits(bzt: Bzt) -> None:
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size > 5_000 for file in bzt.artifacts.glob("*.enc")):
        assert bzt.process.poll() is None and time.monotonic() < deadline, bzt.said()
        time.sleep(0.05)


def test_in_a_terminal_the_console_is_shown(tool, tmp_path, monkeypatch):
    # bzt would take a window of its own, if it could.
    monkeypatch.delenv("DISPLAY", raising=False)
    config = endless(**{"hold-for": "3s"})
    bzt = Bzt(tmp_path, tool, config, terminal=True)
    code = bzt.wait()
    assert code == 0 and "Interrupted by user" not in bzt.said(), bzt.said()
    # The cursor is sent around: the screen was drawn.
    assert re.search(r"\x1b\[\d+;\d+H", bzt.said())
    assert int(bzt.rows()["a hit"]["throughput"]) == 600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_lost(tool, tmp_path, number):
    bzt = Bzt(tmp_path, tool, endless())
    wait_for_hits(bzt)
    bzt.process.send_signal(number)
    bzt.wait()
    assert "Interrupted by user" in bzt.said()
    bzt.compare()
    assert int(bzt.rows()["a hit"]["throughput"]) > 0


def test_nothing_outlives_a_bzt_that_is_killed(tool, tmp_path):
    config = endless(scenario="http") | {
        "services": [{"module": "encarno-target", "listen": f"127.0.0.1:{free_port()}"}]
    }
    address = f"http://{config['services'][0]['listen']}"
    config["scenarios"]["http"] = {"default-address": address, "requests": ["/"]}
    bzt = Bzt(tmp_path, tool, config)
    wait_for_hits(bzt)
    children = psutil.Process(bzt.process.pid).children(recursive=True)
    commands = [child.cmdline()[1] for child in children]
    bzt.process.kill()
    bzt.process.wait()
    _gone, alive = psutil.wait_procs(children, timeout=60)
    assert sorted(commands) == ["run", "tail", "target"]
    assert alive == []


def test_a_functional_test_tells_each_hit(tool, tmp_path):
    site = Site()
    requests = [
        {"url": "/oops", "label": "right", "assert": ["oops"]},
        {"url": "/oops", "label": "wrong", "assert": ["fine"]},
        {"url": "/gone", "label": "refused"},
        {"url": "http://127.0.0.1:1/", "label": "down"},
    ]
    config = {
        "execution": [{"executor": "encarno", "scenario": "s", "iterations": 2}],
        "scenarios": {"s": {"default-address": site.address, "requests": requests}},
        "reporting": [{"module": "junit-xml", "filename": str(tmp_path / "report.xml")}],
        "modules": {"encarno": {"path": tool}, "blazemeter": {"upload-artifacts": False}},
    }
    try:
        bzt = Bzt(tmp_path, tool, config, options=("-func",))
        bzt.wait()
    finally:
        site.close()
    report = ElementTree.parse(tmp_path / "report.xml")
    told = [
        (case.get("name"), [(child.tag, *child.attrib.values()) for child in case])
        for case in report.iter("testcase")
    ]
    once = [
        ("right", []),
        ("wrong", [("failure", "assert: the body doesn't have /fine/")]),
        ("refused", [("failure", "Forbidden")]),
        ("down", [("error", "connection refused by 127.0.0.1:1")]),
    ]
    assert told == once * 2, bzt.said()
