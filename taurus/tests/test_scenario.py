"""Scenarios: each key, as bytes and metadata."""

import json

import pytest
from bzt import TaurusConfigError
from conftest import one

from encarno.notes import Notes
from encarno.scenario import ScenarioTranslator
from encarno.variables import plain

NULLS = {"a": None, "b": [None, {"c": None}]}


def test_a_url_alone(translate):
    metadata, payload = one(translate, "/a?b=c#d")
    assert payload == b"GET /a?b=c HTTP/1.1\r\nHost: h:81\r\n\r\n"
    assert metadata == {"label": "/a?b=c#d", "address": "http://h:81"}


@pytest.mark.parametrize(
    ("url", "address", "line", "host"),
    [
        ("https://[::1]:8443/x", "https://[::1]:8443", "/x", "[::1]:8443"),
        ("http://other", "http://other", "/", "other"),
        ("relative", "http://h:81", "/relative", "h:81"),
        ("/ä b/%20?q=ü", "http://h:81", "/%C3%A4%20b/%20?q=%C3%BC", "h:81"),
    ],
)
def test_addresses_and_paths(translate, url, address, line, host):
    metadata, payload = one(translate, url)
    assert metadata["address"] == address
    assert payload.startswith(f"GET {line} HTTP/1.1\r\nHost: {host}\r\n".encode())


def test_an_address_needs_no_scheme(translate):
    metadata, _ = one(translate, "/", **{"default-address": "h:8080"})
    assert metadata["address"] == "http://h:8080"


def test_a_user_in_the_url_becomes_a_header(translate):
    metadata, payload = one(translate, "http://me:pass@h/")
    assert metadata["address"] == "http://h"
    # Labels are in results, on the console and in logs.
    assert metadata["label"] == "http://h/"
    assert b"\r\nHost: h\r\nAuthorization: Basic bWU6cGFzcw==\r\n" in payload


def test_no_address_is_an_error(translate):
    with pytest.raises(TaurusConfigError, match="default-address"):
        translate({"requests": ["/"]})


def test_label_and_method(translate):
    metadata, payload = one(translate, {"url": "/", "label": "home", "method": "delete"})
    assert metadata["label"] == "home"
    assert payload.startswith(b"DELETE / ")


def test_headers_of_the_request_come_last(translate):
    request = {"url": "/", "headers": {"x-a": 2, "Host": "else"}}
    _, payload = one(translate, request, headers={"X-A": 1, "X-B": True})
    assert payload == b"GET / HTTP/1.1\r\nx-a: 2\r\nX-B: true\r\nHost: else\r\n\r\n"


def test_a_header_has_one_line(translate):
    with pytest.raises(TaurusConfigError, match="X-A") as error:
        one(translate, {"url": "/", "headers": {"X-A": "secret\r\nX-B: 2"}})
    assert "secret" not in str(error.value)


def test_a_body_is_counted_in_bytes(translate):
    _, payload = one(translate, {"url": "/", "method": "POST", "body": "Grüße €"})
    head, _, body = payload.partition(b"\r\n\r\n")
    assert body == "Grüße €".encode()
    assert b"\r\nContent-Length: 11" in head
    assert len(body) == 11


def test_a_map_is_a_form_a_query_or_json(translate):
    body = {"a": "ä b", "n": 5}
    _, payload = one(translate, {"url": "/", "method": "POST", "body": body})
    assert payload.endswith(b"\r\n\r\na=%C3%A4+b&n=5")
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in payload
    _, payload = one(translate, {"url": "/?x=1", "body": body})
    assert payload.startswith(b"GET /?x=1&a=%C3%A4+b&n=5 HTTP/1.1\r\n")
    headers = {"content-type": "application/json"}
    _, payload = one(translate, {"url": "/", "method": "PUT", "body": body, "headers": headers})
    assert json.loads(payload.partition(b"\r\n\r\n")[2]) == body
    _, payload = one(translate, {"url": "/", "method": "PUT", "body": {"deep": [1]}})
    assert payload.endswith(b'{"deep": [1]}')
    _, payload = one(
        translate, {"url": "/", "method": "PUT", "body": plain({"body": NULLS})["body"]}
    )
    assert json.loads(payload.partition(b"\r\n\r\n")[2]) == NULLS


def test_a_body_file_is_bytes(translate, tmp_path):
    content = bytes(range(256))
    (tmp_path / "b.bin").write_bytes(content)
    metadata, payload = one(translate, {"url": "/", "method": "POST", "body-file": "b.bin"})
    assert payload.endswith(b"Content-Length: 256\r\n\r\n" + content)
    assert "replaces" not in metadata


def test_a_body_file_may_hold_variables(translate, tmp_path):
    (tmp_path / "b.txt").write_text("${name} ${shell}")
    request = {"url": "/", "method": "POST", "body-file": "b.txt"}
    metadata, payload = one(translate, request, variables={"name": "x"})
    assert metadata["replaces"] == ["name"]
    assert b"Content-Length: ${:content-length:}\r\n" in payload


def test_a_missing_file_is_named(translate):
    with pytest.raises(TaurusConfigError, match=r"gone\.bin"):
        one(translate, {"url": "/", "method": "POST", "body-file": "gone.bin"})


def test_uploads(translate, tmp_path):
    (tmp_path / "u.txt").write_bytes(b"\x00content")
    upload = {"param": "f", "path": "u.txt"}
    request = {"url": "/", "method": "POST", "body": {"a": 1}, "upload-files": [upload]}
    _, payload = one(translate, request)
    head, _, body = payload.partition(b"\r\n\r\n")
    boundary = head.partition(b"boundary=")[2].partition(b"\r\n")[0]
    assert f"Content-Length: {len(body)}".encode() in head
    parts = body.split(b"--" + boundary)
    assert [len(part) > 4 for part in parts] == [False, True, True, False]
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    assert parts[2].endswith(
        b'name="f"; filename="u.txt"\r\nContent-Type: text/plain\r\n\r\n\x00content\r\n'
    )
    request = {"url": "/", "method": "PUT", "upload-files": [{"path": "u.txt"}]}
    assert one(translate, request)[1].endswith(b"\r\n\r\n\x00content")


def test_variables_are_replaced_wherever_they_are(translate):
    request = {
        "url": "http://${host}/${path}",
        "label": "to ${name}",
        "method": "POST",
        "body": "${name}!",
        "headers": {"X": "${token-1}", "Y": "${:content-length:}"},
    }
    names = ["host", "path", "name", "token-1"]
    metadata, payload = one(translate, request, variables=dict.fromkeys(names, "v"))
    assert sorted(metadata["replaces"]) == sorted(names)
    assert metadata["address"] == "http://${host}"
    assert payload.startswith(b"POST /${path} HTTP/1.1\r\nHost: ${host}\r\n")
    assert payload.count(b"${:content-length:}") == 2


def test_a_known_length_is_filled_in(translate):
    request = {"url": "/", "method": "POST", "body": "ü", "headers": {"Y": "${:content-length:}"}}
    metadata, payload = one(translate, request)
    assert b"\r\nY: 2\r\n" in payload
    assert "replaces" not in metadata


@pytest.mark.parametrize(
    "request_",
    [
        "/${gone}/${__time()}",
        {"url": "/", "method": "POST", "body": "${gone} ${__time()}"},
        {"url": "/", "method": "POST", "body": {"a": {"b": ["${gone}", "${__time()}"]}}},
        {"url": "/", "headers": {"X": "${gone}${__time(,)}"}},
        {"url": "/", "assert": ["${gone}", "${__time()}"]},
        {"url": "/", "extract-jsonpath": {"v": "$.${gone}.${__time()}"}},
        {
            "url": "/",
            "assert-jsonpath": [{"jsonpath": "$.${gone}", "expected-value": "${__time()}"}],
        },
    ],
)
def test_unset_variables_and_functions_are_named(translate, notes, request_):
    one(translate, request_)
    assert any("${gone}" in text for text in notes.said)
    assert any("__time" in text for text in notes.said)


@pytest.mark.parametrize("host", ["http://x:82", "x:82"])
def test_a_url_may_begin_with_a_variable(translate, host):
    scenario = {"variables": {"host": host}, "default-address": "http://default"}
    url = "${host}/a" if "://" in host else "http://${host}/a"
    metadata, payload = one(translate, {"url": url, "label": "l"}, **scenario)
    assert payload.startswith(b"GET /a HTTP/1.1\r\nHost: ")
    assert metadata["address"] in ("http://x:82", "http://${host}")
    scenario["default-address"] = "${host}"
    metadata, payload = one(translate, {"url": "/b", "label": "l"}, **scenario)
    assert metadata["address"] == "http://x:82"
    assert payload.startswith(b"GET /b HTTP/1.1\r\nHost: x:82\r\n")


def test_a_whole_address_may_come_later(translate):
    request = {"url": "${link}", "extract-regexp": {"link": "(x)"}}
    metadata, payload = one(translate, request)
    assert (metadata["address"], metadata["wholeurl"]) == ("http://h:81", True)
    assert payload.startswith(b"GET ${link} HTTP/1.1\r\nHost: h:81\r\n")
    metadata, _ = one(translate, request, **{"default-address": None})
    assert metadata["address"] == "http://there-is-no-default-address.invalid"


@pytest.mark.parametrize(
    ("think", "metadata"),
    [
        ("1s", "fixed:1s"),
        (0.25, "fixed:0.25s"),
        ("uniform(3s, 1s)", "uniform:2s:4s"),
        ("gaussian(1s,200ms)", "gaussian:1s:0.2s"),
        ("poisson(2s,1s)", "poisson:2s"),
    ],
)
def test_think_time(translate, think, metadata):
    assert one(translate, "/", **{"think-time": think})[0]["think"] == metadata
    assert one(translate, {"url": "/", "think-time": think})[0]["think"] == metadata


def test_a_requests_own_word_counts(translate):
    scenario = {"think-time": "1s", "keepalive": False, "follow-redirects": True}
    request = {"url": "/", "think-time": 0, "keepalive": True, "follow-redirects": False}
    metadata, payload = one(translate, request, **scenario)
    assert not {"think", "keepalive", "follow"} & set(metadata)
    assert b"Connection" not in payload
    metadata, payload = one(translate, "/", **scenario)
    assert (metadata["keepalive"], metadata["follow"]) == (False, 20)
    assert b"\r\nConnection: close\r\n" in payload


def test_timeout_of_a_request(translate):
    assert one(translate, {"url": "/", "timeout": "1500ms"})[0]["timeout"] == "1.5s"


@pytest.mark.parametrize("key", ["timeout", "think-time"])
@pytest.mark.parametrize("value", ["abc", "5 apples", "-1s", {"a": 1}])
def test_what_is_no_duration_is_named(translate, key, value):
    with pytest.raises(TaurusConfigError, match=rf"{key}.*is no duration"):
        one(translate, {"url": "/", key: value})


def test_an_assert_sees_what_its_own_answer_set(translate, notes):
    request = {
        "url": "/",
        "extract-regexp": {"token": "t=(.+)"},
        "assert": ["is ${token}", "is ${unset}"],
    }
    metadata, _ = one(translate, request)
    assert metadata["replaces"] == ["token", "unset"]
    said = " ".join(notes.said)
    assert "${unset}" in said and "${token}" not in said


def test_redirects_are_followed_in_a_scenario_and_not_in_a_list_of_urls(translate, tmp_path):
    scenario = {"default-address": "http://h"}
    assert translate(scenario | {"requests": ["/"]})[0][0]["follow"] == 20
    (tmp_path / "urls.txt").write_text("/a\n\n  custom label http://[::1]:80/b\n")
    records = translate(scenario | {"requests": "urls.txt"})
    assert [metadata for metadata, _ in records] == [
        {"label": "/a", "address": "http://h"},
        {"label": "custom label", "address": "http://[::1]:80"},
    ]


def test_a_list_of_urls_is_never_held_whole(tmp_path, notes):
    """However long it is: a later line isn't looked at before its turn."""
    path = tmp_path / "urls.txt"
    path.write_text("/a\nhttp://[broken/\n")
    scenario = {"default-address": "http://h", "requests": str(path)}
    records = ScenarioTranslator(scenario, str, notes).records()
    assert next(records).metadata["label"] == "/a"
    with pytest.raises(TaurusConfigError, match="broken"):
        next(records)


def test_a_list_that_isnt_text_is_named(translate, tmp_path):
    (tmp_path / "urls.txt").write_bytes(b"/a\xff\n")
    with pytest.raises(TaurusConfigError, match="UTF-8"):
        translate({"default-address": "http://h", "requests": "urls.txt"})


def test_extract_regexp(translate):
    extracts = {
        "plain": "id=(.+)",
        "whole": "id=.+",
        "one": {"regexp": "(a)(b)", "template": 2, "match-no": 3, "default": 0},
        "random": {"regexp": "(a)", "match-no": 0, "subject": "headers", "template": "$1$"},
        "joined": {"regexp": "(a)(b)", "template": "$1$-$2$", "subject": "http-code"},
    }
    metadata, _ = one(translate, {"url": "/", "extract-regexp": extracts})
    assert metadata["extracts"] == {
        "plain": {"re": "id=(.+)", "matchNo": 0, "groupNo": 1, "subject": "body"},
        "whole": {"re": "id=.+", "matchNo": 0, "groupNo": 0, "subject": "body"},
        "one": {"re": "(a)(b)", "matchNo": 2, "groupNo": 2, "subject": "body", "default": "0"},
        "random": {"re": "(a)", "matchNo": -1, "groupNo": 1, "subject": "headers"},
        "joined": {
            "re": "(a)(b)",
            "matchNo": 0,
            "groupNo": 0,
            "template": "$1$-$2$",
            "subject": "code",
        },
    }
    assert metadata["scenario"] is True


def test_extract_jsonpath(translate):
    extracts = {"a": "$.a", "b": {"jsonpath": "$..b", "default": "none", "match-no": 2}}
    metadata, _ = one(translate, {"url": "/", "extract-jsonpath": extracts})
    assert metadata["extracts"] == {
        "a": {"jsonpath": "$.a", "subject": "body", "matchNo": 0},
        "b": {"jsonpath": "$..b", "subject": "body", "matchNo": 1, "default": "none"},
    }


def test_extract_boundary(translate, notes):
    extracts = {
        "a": {"left": "<t>", "right": "</t>"},
        "b": {"left": "${x}(", "right": ")", "match-no": 0, "subject": "response-headers"},
    }
    metadata, _ = one(translate, {"url": "/", "extract-boundary": extracts}, variables={"x": 1})
    assert metadata["extracts"] == {
        "a": {"re": "(?s)<t>(.*?)</t>", "groupNo": 1, "matchNo": 0, "subject": "body"},
        "b": {"re": r"(?s)${x}\((.*?)\)", "groupNo": 1, "matchNo": -1, "subject": "headers"},
    }
    with pytest.raises(TaurusConfigError, match="right"):
        one(translate, {"url": "/", "extract-boundary": {"a": {"left": "x"}}})


def test_asserts(translate):
    asserts = [
        "ok",
        {"contains": ["a.c", "d"], "subject": "headers", "not": True},
        {"contains": "1+1", "regexp": False, "subject": "body"},
        {"contains": [200], "subject": "http-code"},
    ]
    metadata, _ = one(translate, {"url": "/", "assert": asserts})
    assert metadata["asserts"] == [
        {"re": "ok", "invert": False, "subject": "body"},
        {"re": "a.c", "invert": True, "subject": "headers"},
        {"re": "d", "invert": True, "subject": "headers"},
        {"text": "1+1", "invert": False, "subject": "body"},
        {"re": "200", "invert": False, "subject": "code"},
    ]
    assert "onfail" not in metadata


def test_assert_jsonpath(translate):
    asserts = ["$.a", {"jsonpath": "$.b", "expected-value": 5, "invert": True}]
    metadata, _ = one(translate, {"url": "/", "assert-jsonpath": asserts}, **{"on-fail": "next"})
    assert metadata["asserts"] == [
        {"jsonpath": "$.a", "invert": False, "subject": "body"},
        {"jsonpath": "$.b", "invert": True, "subject": "body", "equals": "5"},
    ]
    assert metadata["onfail"] == "next"


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"url": "http://me:secret@[x/"}, "isn't a URL"),
        ({"url": "/", "assert": [{"contains": "a", "subject": "trailer"}]}, "trailer"),
        ({"url": "/", "assert": [{"subject": "body"}]}, "contains"),
        ({"url": "/", "extract-regexp": {"v": {"regexp": "(a)", "template": 2}}}, "group 2"),
        ({"url": "/", "assert": ["a"], "on-fail": "panic"}, "panic"),
        ({"url": "/", "method": "GET /"}, "method"),
        ({"label": "no url", "headers": {"X": "secret"}}, "no url"),
    ],
)
def test_mistakes_are_named(translate, request_, named):
    with pytest.raises(TaurusConfigError, match=named) as error:
        one(translate, request_)
    assert "secret" not in str(error.value)


def test_what_has_no_effect_is_named(translate, notes):
    asserts = [{"contains": "a", "assume-success": True}]
    others = ("extract-xpath", "extract-css-jquery", "assert-xpath", "jsr223")
    one(translate, {"url": "/", "assert": asserts} | {key: {} for key in others})
    translate(
        {"requests": [{"transaction": "t", "do": ["http://h/1"]}, {"teardown": ["http://h/"]}]}
    )
    for key in (*others, "assume-success", "transaction", "teardown"):
        assert any(key in text for text in notes.said), key
    # Each says what to write instead.
    assert all(any(key in text and "; " in text for text in notes.said) for key in others)


def test_a_warning_is_said_once(caplog):
    import logging

    notes = Notes(logging.getLogger("once"))
    for _ in range(3):
        notes.unknown_keys("request", ["a", "b"], frozenset("b"))
    assert [record.message for record in caplog.records] == [
        "request: encarno doesn't know the key 'a': it has no effect"
    ]


def test_dummy_and_udp(translate):
    assert [m["label"] for m, _ in translate({"protocol": "dummy"})] == ["/"]
    scenario = {"protocol": "udp", "default-address": "udp://h:9", "requests": [{"body": "ping"}]}
    metadata, payload = translate(scenario)[0]
    assert (metadata["address"], payload) == ("udp://h:9", b"ping")


def test_no_requests_are_an_error(translate):
    with pytest.raises(TaurusConfigError, match="requests"):
        translate({"default-address": "http://h"})
