"""The executor, without the rest of Taurus around it."""

import time

import pytest
from bzt import TaurusConfigError

DUMMY = {"protocol": "dummy", "follow-redirects": False, "config": {"run": {"threads": 1}}}


def test_interrupted_while_it_starts_it_is_ended(make_executor, tool, tmp_path):
    executor = make_executor({"throughput": 100, "hold-for": "1h"}, DUMMY, {"path": tool})
    executor.prepare()
    executor.startup()
    # Taurus shuts down only what has started to its end.
    executor.post_process()
    assert executor.process.poll() is not None
    assert executor.has_results()
    for file in tmp_path.glob("encarno*"):
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_the_widget_tells_how_workers_are(make_executor, tool):
    executor = make_executor({"throughput": 100, "hold-for": "1h"}, DUMMY, {"path": tool})
    widget = executor.get_widget()
    assert executor.get_widget() is widget
    executor.prepare()
    executor.startup()
    try:
        deadline = time.monotonic() + 60
        while "busy" not in (text := widget.widgets[0].text):
            assert not executor.check()
            assert time.monotonic() < deadline, executor.get_error_diagnostics()
            time.sleep(0.05)
    finally:
        executor.shutdown()
        executor.post_process()
    for word in ("wait", "busy", "sleep", "lag"):
        assert word in text


def test_files_that_a_test_needs_are_told(make_executor, tmp_path):
    for name in ("d.csv", "b.txt"):
        (tmp_path / name).write_text("a\n")
    scenario = {
        "data-sources": ["d.csv"],
        "requests": [
            "/",
            {"url": "/", "body-file": "b.txt", "upload-files": [{"path": "u"}]},
            {"transaction": "t", "do": [{"url": "/", "body-file": "deep.txt"}]},
            {"include-scenario": "other"},
        ],
    }
    executor = make_executor({}, scenario)
    other = {"data-sources": ["d.csv"], "requests": [{"url": "/", "body-file": "o.txt"}]}
    executor.engine.config.merge({"scenarios": {"other": other}})
    expected = ["b.txt", "u", "deep.txt", "o.txt", "d.csv", "d.csv"]
    assert executor.resource_files() == expected
    assert make_executor({}, {"requests": "urls.txt"}).resource_files() == ["urls.txt"]


def test_a_script_that_is_missing_is_named(make_executor, tool):
    executor = make_executor({}, {"script": "gone.ammo"}, {"path": tool})
    with pytest.raises(TaurusConfigError, match=r"gone\.ammo"):
        executor.prepare()
    executor.post_process()


def test_a_capacity_is_measured_and_told(make_executor, tool, tmp_path, caplog):
    caplog.set_level("INFO")
    delay = {"protocol": {"delay": "fixed:5ms"}, "run": {"threads": 1}}
    scenario = DUMMY | {"config": delay}
    capacity = {"workers": "1..2", "trial": "500ms..600ms", "precision": "20%"}
    executor = make_executor({"capacity": capacity}, scenario, {"path": tool})
    executor.prepare()
    executor.startup()
    deadline = time.monotonic() + 120
    while not executor.check():
        assert time.monotonic() < deadline, executor.get_error_diagnostics()
        time.sleep(0.05)
    executor.shutdown()
    executor.post_process()
    assert executor.has_results()
    # Two numbers of workers make no curve.
    assert executor.capacity["exit_status"] == 2
    assert executor.capacity["measured"] == {"start": 1, "end": 2}
    assert "Capacity: " in caplog.text and "trials at" in caplog.text
    assert list(tmp_path.glob("encarno_capacity*.json"))
