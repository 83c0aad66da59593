"""Sums by second as data points."""

import logging
import subprocess

import pytest
import yaml
from bzt.modules.aggregator import DataPoint, KPISet

from encarno.reader import SecondsReader, error_text


def kind(label, hits=1, status=200, error="", answered=True, **values):
    return {
        "label": label,
        "status": status,
        "error": error,
        "answered": answered,
        "failed": bool(error) or not 200 <= status < 400,
        "hits": hits,
        "concurrency": 2,
        "response_ns": hits * 5_000_000,
        "connect_ns": hits * 1_000_000,
        "first_byte_ns": hits * 4_000_000,
        "sent_bytes": hits,
        "received_bytes": hits * 10,
        "response_ms": [[5, hits]],
    } | values


def points(*seconds, setup=lambda reader: None):
    reader = SecondsReader(logging.getLogger("test"))
    setup(reader)
    reader._seconds = [{"second": n, "users": 10, "kinds": kinds} for n, kinds in seconds]
    return list(reader.datapoints(True))


def test_a_second_is_a_point():
    refused = kind("b", 2, 999, "refused", False)
    (point,) = points((100, [kind("a", 3), kind("a", 1, 404), refused]))
    assert point[DataPoint.TIMESTAMP] == 100
    current = point[DataPoint.CURRENT]
    assert set(current) == {"a", "b", ""}
    a, b, total = (current[label].recalculate() for label in ("a", "b", ""))
    assert (a[KPISet.SAMPLE_COUNT], a[KPISet.SUCCESSES], a[KPISet.FAILURES]) == (4, 3, 1)
    assert a[KPISet.RESP_CODES] == {"200": 3, "404": 1}
    assert a[KPISet.AVG_RESP_TIME] == pytest.approx(0.005)
    assert a[KPISet.AVG_LATENCY] == pytest.approx(0.004)
    assert a[KPISet.AVG_CONN_TIME] == pytest.approx(0.001)
    assert a[KPISet.BYTE_COUNT] == 40
    assert a[KPISet.PERCENTILES]["99.0"] == pytest.approx(0.005)
    assert [(e["msg"], e["rc"], e["cnt"]) for e in b[KPISet.ERRORS]] == [("refused", "999", 2)]
    assert (total[KPISet.SAMPLE_COUNT], total[KPISet.FAILURES]) == (6, 3)
    # Users, not the hits that they had in flight.
    assert (total[KPISet.CONCURRENCY], b[KPISet.CONCURRENCY]) == (10, 10)


def test_nothing_is_lost_when_a_second_comes_again():
    seen = points((100, [kind("a")]), (101, [kind("a")]), (100, [kind("a")]), (102, [kind("a")]))
    cumulative = seen[-1][DataPoint.CUMULATIVE][""]
    assert cumulative[KPISet.SAMPLE_COUNT] == 4
    assert [point[DataPoint.TIMESTAMP] for point in seen] == [100, 101, 102, 102]


def test_labels_may_be_ignored_and_empty():
    ignore = {"setup": lambda reader: reader.ignored_labels.append("skip")}
    (point,) = points((1, [kind(""), kind("skip this")]), **ignore)
    assert set(point[DataPoint.CURRENT]) == {"[empty]", ""}


def test_aggregation_by_state():
    def extended(reader):
        reader.set_aggregation(True)

    (point,) = points((1, [kind("a"), kind("a", 1, 503), kind("a", 1, 200, "x")]), setup=extended)
    labels = {"a-success", "a-http_errors", "a-jmeter_errors", ""}
    assert set(point[DataPoint.CURRENT]) == labels


def test_assertions_are_told_from_errors():
    (point,) = points((1, [kind("a", 1, 200, "assert 'x'"), kind("b", 1, 999, "reset", False)]))
    types = {
        label: point[DataPoint.CURRENT][label][KPISet.ERRORS][0]["type"] for label in ("a", "b")
    }
    assert types == {"a": KPISet.ERRTYPE_ASSERT, "b": KPISet.ERRTYPE_ERROR}


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (200, "", None),
        (302, "", None),
        (404, "", "Not Found"),
        (520, "", "status 520"),
        (404, "assert", "assert"),
        (999, "refused", "refused"),
    ],
)
def test_errors_have_a_text(status, error, said):
    assert error_text(status, error) == said


def test_a_run_whose_writer_died_is_told(tool, tmp_path, caplog):
    writer = subprocess.Popen(["sleep", "600"])
    results = tmp_path / "r.enc"
    (tmp_path / "p.txt").write_bytes(b'{"plen": 1, "label": "a"}\nx\n')
    config = {
        "input": {"payloadfile": str(tmp_path / "p.txt"), "recordlimit": 5},
        "output": {"nativefile": str(results)},
        "workers": {"mode": "closed", "maxworkers": 1},
        "protocol": {"driver": "dummy"},
    }
    (tmp_path / "c.yml").write_text(yaml.safe_dump(config))
    subprocess.run([tool, "run", tmp_path / "c.yml"], check=True, capture_output=True)
    whole = results.read_bytes()
    # Without its last frame: 16 bytes of head, 16 of payload.
    results.write_bytes(whole[:-32])
    reader = SecondsReader(logging.getLogger("test"))
    reader.follow(tool, str(results), writer.pid, str(tmp_path / "tail.err"))
    writer.kill()
    writer.wait()
    reader.finish()
    assert reader.hits == 5
    assert "has no end" in caplog.text
    (point,) = reader.datapoints(True)
    assert point[DataPoint.CURRENT][""][KPISet.SAMPLE_COUNT] == 5
