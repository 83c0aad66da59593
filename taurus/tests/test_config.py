"""The configuration file: what the other keys become."""

from pathlib import Path

import pytest
import yaml
from bzt import TaurusConfigError
from conftest import RAW

from encarno.config import ConfigWriter, health_of


def test_an_ordinary_one(configure):
    config = configure(execution={"concurrency": 3, "iterations": 2})
    assert config["protocol"] == {"driver": "http", "timeout": "10s"}
    assert config["input"].keys() == {"payloadfile", "iterationlimit"}
    assert config["input"]["iterationlimit"] == 6
    assert config["output"].keys() == {"nativefile"}


def test_what_a_script_needs(configure, tmp_path):
    (tmp_path / "d.csv").write_bytes("name;größe\nä;1\n".encode("latin-1"))
    source = {"path": "d.csv", "delimiter": ";", "encoding": "latin-1", "loop": False}
    scenario = {
        "requests": [{"url": "/${größe}", "assert": ["ok"]}],
        "variables": {"flag": True, "text": "1e3"},
        "data-sources": [source, {"path": "d.csv", "variable-names": "a, b", "delimiter": "tab"}],
    }
    source["encoding"] = "latin-1"
    scenario["data-sources"][1]["encoding"] = "latin-1"
    config = configure(scenario, {"concurrency": 3, "iterations": 2})
    assert config["input"]["sharing"] == "per-worker"
    assert config["input"]["iterationlimit"] == 2
    workers = config["workers"]
    assert workers["cookies"] is True
    assert workers["values"] == {"flag": "true", "text": "1e3"}
    first, second = workers["data"]
    assert (first["delimiter"], first["order"], first["quoted"]) == (",", "once", True)
    assert Path(first["file"]).read_text(encoding="utf-8") == "name,größe\nä,1\n"
    assert (second["order"], second["names"]) == ("loop", ["a", "b"])


def test_iterations_are_those_of_each_user(configure):
    scenario = {"requests": [{"url": "/", "assert": ["ok"]}]}
    config = configure(scenario, {"throughput": 10, "iterations": 3})
    assert config["workers"]["maxworkers"] == 1
    config = configure(scenario, {"throughput": 10, "hold-for": "1s"})
    assert config["workers"]["maxworkers"] == 1000


def test_cookies_may_be_refused(configure):
    scenario = {"requests": [{"url": "/", "assert": ["ok"]}], "store-cookie": False}
    assert "cookies" not in configure(scenario)["workers"]


def test_large_bodies_are_sent_as_they_are(configure, tmp_path, notes):
    (tmp_path / "big.bin").write_bytes(bytes(2 << 20))
    big = {"url": "/big", "method": "POST", "body-file": "big.bin"}
    config = configure({"requests": ["/", big], "follow-redirects": None})
    payload = Path(config["input"]["payloadfile"]).read_bytes()
    assert payload.count(b'"follow": 20') == 1
    assert "cookies" not in config["workers"]
    assert any("store-cookie" in text for text in notes.said)


def test_random_rows(configure, tmp_path):
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    source = {"path": "d.csv", "random-order": True}
    assert configure({"data-sources": [source]})["workers"]["data"][0]["order"] == "random"


def test_own_settings(configure):
    tls = {"insecureskipverify": True, "minversion": 772}
    settings = {"trace-level": 400, "tls-config": tls, "output-format": "bin"}
    config = configure({"timeout": "2500ms", "trace-level": 500}, settings=settings)
    assert config["protocol"] == {"driver": "http", "timeout": "2.5s", "tlsconf": tls}
    output = config["output"]
    assert output["reqrespfilelevel"] == 500
    assert output.keys() == {
        "nativefile",
        "binaryfile",
        "stringsfile",
        "reqrespfile",
        "reqrespfilelevel",
    }


def test_a_protocol_for_all_scenarios(configure):
    config = configure({"requests": None}, settings={"protocol": "dummy"})
    assert config["protocol"] == {"driver": "dummy"}
    assert Path(config["input"]["payloadfile"]).read_bytes().count(b'"label": "/"') == 1


def test_calls_over_grpc(configure, tmp_path):
    scenario = {
        "protocol": "grpc",
        "default-address": "grpc://h:50051/",
        "proto": ["a.proto", "b.proto"],
        "requests": [{"url": "/p.S/M", "body": {"id": "${n}"}}],
        "variables": {"n": 7},
    }
    config = configure(scenario)
    protocol = config["protocol"]
    assert (protocol["driver"], protocol["address"]) == ("grpc", "grpc://h:50051")
    assert protocol["options"] == {"proto": "a.proto,b.proto"}
    records = Path(config["input"]["payloadfile"]).read_bytes()
    assert b"POST /p.S/M HTTP/1.1\r\n" in records
    assert b'{"id": "${n}"}' in records


def test_an_unknown_output_format_is_an_error(configure):
    with pytest.raises(TaurusConfigError, match="xml"):
        configure(settings={"output-format": "xml"})


def test_a_script_is_used_as_it_is(configure, tmp_path, notes):
    (tmp_path / "ammo.txt").write_text("[Host: h]\n/\n")
    (tmp_path / "s.istr").write_text("a\n")
    scenario = {
        "script": "ammo.txt",
        "input-strings": "s.istr",
        "default-address": "[::1]:80",
        "headers": {"X": 1},
        "think-time": "1s",
        "store-cookie": True,
        "keepalive": False,
    }
    config = configure(scenario, {"concurrency": 4, "iterations": 3})
    assert config["input"] == {
        "payloadfile": str(tmp_path / "ammo.txt"),
        "stringsfile": str(tmp_path / "s.istr"),
        "iterationlimit": 3,
        "headers": {"X": "1"},
    }
    assert config["protocol"]["address"] == "http://[::1]:80"
    assert config["rules"] == [{"label": "", "think": "fixed:1s"}]
    assert config["workers"]["cookies"] is True
    assert any("keepalive" in text for text in notes.said)


def test_own_configuration_comes_last(configure):
    settings = {"config": {"run": {"threads": 1}, "protocol": {"driver": "udp"}}}
    config = configure({"config": {"protocol": {"driver": "dummy"}}}, settings=settings)
    assert config["protocol"]["driver"] == "dummy"
    summary = config["run"].pop("summaryfile")
    assert summary.endswith("encarno_summary.json")
    assert config["run"] == {"health": True, "threads": 1}


def test_keys_without_effect_are_named(configure, notes):
    configure({"retrieve-resources": True}, {"locations": {}}, {"download-link": "x"})
    for key in ("retrieve-resources", "locations", "download-link"):
        assert any(repr(key) in text for text in notes.said), key


def test_a_scenario_is_written_once(make_executor, notes, tmp_path):
    executor = make_executor({}, RAW | {"requests": ["/"]})
    paths = []
    for _ in range(2):
        with open(ConfigWriter(executor, notes).write(), encoding="utf-8") as file:
            paths.append(yaml.safe_load(file)["input"]["payloadfile"])
    assert paths[0] == paths[1]
    assert len(list(tmp_path.glob("*.payload"))) == 1


def test_included_scenarios_bring_variables_and_data(make_executor, notes, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "c.csv").write_text("c,d\n1,2\n")
    outer = RAW | {
        "data-sources": ["a.csv"],
        "variables": {"v": "outer"},
        "requests": [{"transaction": "t", "do": [{"include-scenario": "inner"}]}],
    }
    inner = {
        "data-sources": ["c.csv"],
        "variables": {"v": "inner", "w": "inner"},
        "requests": ["/${a}/${c}/${v}/${w}", {"include-scenario": "innermost"}],
        "locations": {},
    }
    innermost = {"variables": {"x": "innermost"}, "requests": ["/${x}"]}
    executor = make_executor({}, outer)
    executor.engine.config.merge({"scenarios": {"inner": inner, "innermost": innermost}})
    with open(ConfigWriter(executor, notes).write(), encoding="utf-8") as file:
        workers = yaml.safe_load(file)["workers"]
    assert [Path(entry["file"]).name for entry in workers["data"]] == ["a.csv", "c.csv"]
    assert workers["values"] == {"v": "outer", "w": "inner", "x": "innermost"}
    assert not any("nothing sets it" in text for text in notes.said)
    assert any("'locations'" in text for text in notes.said)


def test_others_cannot_read_what_is_written(configure, tmp_path):
    configure(settings={"trace-level": 400, "output-format": "bin"})
    written = list(tmp_path.glob("encarno*"))
    assert len(written) == 7
    for file in written:
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_health():
    line = "t info Workers: waiting: 1, working: 2, sleeping: 3, busy: 4, lag: 1.5ms, reqs: 6"
    assert health_of(line) == {
        "waiting": "1",
        "working": "2",
        "sleeping": "3",
        "busy": "4",
        "lag": "1.5ms",
        "reqs": "6",
    }
    assert health_of("t info other") == {}


def test_a_capacity_takes_the_place_of_the_load(configure, notes):
    asked = {"goal": "p99<50ms", "trial": "1s..3s", "connections": "40", "speed": 1}
    config = configure({"capacity": asked}, {"concurrency": 30, "hold-for": "1m", "iterations": 2})
    assert config["workers"] == {"values": {}}
    assert config["run"] == {}
    assert "iterationlimit" not in config["input"]
    capacity = config["capacity"]
    assert capacity.pop("jsonfile").endswith(".json")
    assert capacity == {
        "goal": "p99<50ms",
        "trial": "1s..3s",
        "connections": 40,
        "workers": "1..30",
    }
    said = " ".join(notes.said)
    for word in ("hold-for", "iterations", "speed"):
        assert word in said
    assert "'capacity'" not in said
    own = configure({"capacity": asked}, {"capacity": {"workers": 7}, "concurrency": 30})
    assert own["capacity"]["workers"] == "7"
    assert "goal" not in own["capacity"]
    for wrong in ("p99<50ms", {"connections": "many"}):
        with pytest.raises(TaurusConfigError, match="capacity"):
            configure({"capacity": wrong})
