"""Blocks: the order in which requests are sent."""

import pytest
from bzt import TaurusConfigError

ADDRESS = {"default-address": "http://h", "follow-redirects": False}


def labels(records):
    return [metadata["label"] for metadata, _ in records]


def test_a_transaction_is_its_requests(translate, notes):
    requests = [{"transaction": "t", "do": ["/1", {"transaction": "u", "do": ["/2"]}]}, "/3"]
    assert labels(translate(ADDRESS | {"requests": requests})) == ["/1", "/2", "/3"]
    assert any("transaction 'u'" in text for text in notes.said)


def test_a_pause_belongs_to_the_request_before(translate):
    pause = {"action": "pause", "pause-duration": "1s500ms"}
    requests = ["/1", pause, {"url": "/2", "think-time": "uniform(2s,1s)"}, pause, "/3"]
    thinks = [m.get("think") for m, _ in translate(ADDRESS | {"requests": requests})]
    assert thinks == ["fixed:1.5s", "uniform:2.5s:4.5s", None]


def test_an_included_scenario_brings_what_it_needs(translate):
    other = {
        "default-address": "http://other",
        "headers": {"X-A": "inner", "X-B": 1},
        "timeout": "3s",
        "think-time": "1s",
        "requests": ["/2?${word}"],
    }
    scenario = {
        "default-address": "http://h",
        "headers": {"x-a": "outer", "X-C": 1},
        "timeout": "5s",
        "keepalive": False,
        "variables": {"word": "w"},
        "requests": ["/1", {"include-scenario": "other"}, "/3"],
    }
    first, second, third = translate(scenario, include={"other": other}.get)
    assert (second[0]["address"], second[0]["timeout"]) == ("http://other", "3s")
    assert (second[0]["think"], second[0]["replaces"]) == ("fixed:1s", ["word"])
    head = second[1].split(b"\r\n")
    assert b"X-A: inner" in head and b"X-B: 1" in head and b"X-C: 1" in head
    # As JMeter has it: these of the scenario that includes it aren't the other's.
    assert "keepalive" not in second[0]
    for record in (first, third):
        assert record[0]["address"] == "http://h" and record[0]["keepalive"] is False
        assert "timeout" not in record[0] and b"\r\nx-a: outer\r\n" in record[1]


def test_an_included_scenario_without_a_timeout_has_the_usual_one(translate):
    scenario = ADDRESS | {"timeout": "5s", "requests": [{"include-scenario": "other"}]}
    assert translate(scenario, include={"other": {"requests": ["/"]}}.get)[0][0]["timeout"] == "10s"


def test_included_lists_of_urls_are_read(translate, tmp_path):
    (tmp_path / "urls.txt").write_text("/a\n/b\n")
    scenario = ADDRESS | {"requests": [{"include-scenario": "other"}]}
    include = {"other": {"requests": "urls.txt"}}.get
    assert labels(translate(scenario, include=include)) == ["/a", "/b"]


def test_a_scenario_that_includes_itself_is_an_error(translate):
    inner = {"requests": ["/", {"include-scenario": "other"}]}
    with pytest.raises(TaurusConfigError, match="'other' includes itself"):
        translate(ADDRESS | inner, include={"other": inner}.get)


def test_a_block_without_its_list_is_an_error(translate):
    with pytest.raises(TaurusConfigError, match="'do' is missing"):
        translate(ADDRESS | {"requests": [{"transaction": "t"}]})


def test_a_list_that_nothing_sets_is_told(translate, notes):
    requests = [{"foreach": "one in many", "do": ["/${one}"]}]
    translate(ADDRESS | {"requests": requests, "variables": {"many_1": "x"}})
    extract = {"url": "/", "extract-regexp": {"many": "a+"}}
    translate(ADDRESS | {"requests": [extract, *requests]})
    assert not notes.said
    translate(ADDRESS | {"requests": requests, "variables": {"many": "x"}})
    (said,) = notes.said
    assert "nothing sets many_1" in said and "never sent" in said


def test_a_variable_that_nothing_sets_is_told_once(translate, notes):
    scenario = ADDRESS | {"headers": {"X-A": "${what}"}, "requests": ["/1", "/2", "/3"]}
    translate(scenario)
    (said,) = notes.said
    assert "${what}" in said and "NO_VALUE" in said
