"""Blocks and variables in real runs: what the server is asked for, in which order."""

import re
import subprocess

import pytest
from bzt import TaurusConfigError
from bzt_run import free_port
from paths import Paths

from encarno.config import ConfigWriter

USERS = '{"data": [{"user": {"name": "ann"}}, {"user": {"name": "bob"}}], "a-b": "x", "n": 2}'


@pytest.fixture
def asked(make_executor, notes, tool):
    """The paths of one user who goes through the scenario so often."""

    def run(requests: list, passes: int = 1, answers: dict | None = None, **scenario) -> list[str]:
        paths = Paths(answers)
        scenario = {key.replace("_", "-"): value for key, value in scenario.items()}
        scenario = {"default-address": paths.address} | scenario | {"requests": requests}
        executor = make_executor({"iterations": passes}, scenario)
        try:
            config = ConfigWriter(executor, notes).write()
            ran = subprocess.run([tool, "run", config], capture_output=True, text=True, timeout=60)
        finally:
            paths.close()
        # 7: every hit failed.
        assert ran.returncode in (0, 7), ran.stderr
        # Long texts go on in the next line.
        run.said = " ".join((ran.stdout + ran.stderr).split())
        run.address = paths.address
        return paths.asked

    return run


def test_once_and_setup_are_for_the_first_pass(asked):
    requests = [{"setup": ["/setup"]}, {"once": ["/login", "/home"]}, "/item"]
    assert asked(requests, 3) == ["/setup", "/login", "/home", *["/item"] * 3]


def test_values_and_cookies_last_for_a_user_who_logs_in_once(asked):
    login = {"url": "/login", "extract-regexp": {"token": "(k.)"}}
    requests = [{"once": [login]}, "/item?${token}"]
    assert asked(requests, 2, {"/login": (200, "k1")}) == ["/login", "/item?k1", "/item?k1"]


def test_set_variables_last(asked):
    # As Taurus's documentation has it: another value after the first pass.
    requests = ["/?${foo}${bar}", {"set-variables": {"foo": "BAZ", "bar": "${foo}!"}}]
    assert asked(requests, 2, variables={"foo": "BAR", "bar": 1}) == ["/?BAR1", "/?BAZBAR!"]


def test_if_and_else(asked):
    look = {"url": "/look", "extract-regexp": {"state": r"state=(\w+)", "n": r"n=(\d+)"}}
    requests = [
        look,
        {"if": '"${state}" == "open"', "then": ["/open1", "/open2"], "else": ["/shut"]},
        {"if": "${n} > 5 && !(${n} == 8)", "then": ["/many"]},
        {
            "if": '${__jexl3("${state}" == "open",)}',
            "then": [{"if": "${__groovy(vars.get('n') == '7')}", "then": ["/seven"]}],
        },
        "/end",
    ]
    answers = {"/look": (200, "state=open n=7")}
    assert asked(requests, 1, answers) == ["/look", "/open1", "/open2", "/many", "/seven", "/end"]
    answers = {"/look": (200, "state=gone n=5")}
    assert asked(requests, 1, answers) == ["/look", "/shut", "/end"]


def test_loops(asked):
    requests = [
        {"loop": 2, "do": ["/a", {"loop": "${n}", "do": ["/b"]}]},
        {"loop": 0, "do": ["/never"]},
        "/c",
    ]
    once = ["/a", "/b", "/b", "/b", "/a", "/b", "/b", "/b", "/c"]
    assert asked(requests, 2, variables={"n": 3}) == once * 2


def test_while(asked):
    page = {"regexp": r"next=(\d)", "default": 0}
    more = {"url": "/page${page}", "extract-regexp": {"page": page}}
    requests = [{"while": "${page} != 0", "do": [more]}, "/end"]
    answers = {"/page1": (200, "next=2"), "/page2": (200, "next=7")}
    assert asked(requests, 1, answers, variables={"page": 1}) == [
        "/page1",
        "/page2",
        "/page7",
        "/end",
    ]
    requests = [{"while": "${JMeterThread.last_sample_ok}", "do": ["/ok", "/bad"]}, "/end"]
    assert asked(requests, 1, {"/bad": (500, "")}) == ["/ok", "/bad", "/end"]
    requests = [{"while": "", "do": ["/bad"]}, {"loop": "forever", "do": [{"action": "stop"}]}]
    assert asked(requests, 1, {"/bad": (500, "")}) == ["/bad"]


def test_foreach(asked):
    users = {"url": "/users", "extract-jsonpath": {"names": "$.data.[:100].user.name"}}
    requests = [users, {"foreach": "name in names", "do": ["/user/${name}"]}, "/${names_2}"]
    expected = ["/users", "/user/ann", "/user/bob", "/bob"]
    assert asked(requests, 2, {"/users": (200, USERS)}) == expected * 2
    assert asked(requests, 1, {"/users": (404, "")})[:2] == ["/users", "/NO_VALUE"]
    requests = [{"foreach": "word in words", "do": ["/${word}"]}]
    assert asked(requests, variables={"words_1": "a", "words_2": "b", "words_4": "d"}) == [
        "/a",
        "/b",
    ]


def test_all_matches_of_an_expression(asked):
    links = {"url": "/", "extract-regexp": {"link": {"regexp": 'href="(.*?)"', "match-no": -1}}}
    requests = [links, {"foreach": "to in link", "do": ["${to}"]}, "/${link_matchNr}"]
    answers = {"/": (200, '<a href="/x"><a href="/y?z">')}
    assert asked(requests, 1, answers) == ["/", "/x", "/y?z", "/2"]


def test_actions(asked):
    requests = [
        "/1",
        {"if": '"${n}" == "1"', "then": [{"set-variables": {"n": 2}}, {"action": "continue"}]},
        "/2",
        {"action": "stop"},
        "/3",
    ]
    assert asked(requests, 5, variables={"n": 1}) == ["/1", "/1", "/2"]


def test_a_user_who_never_sends_anything_ends(asked):
    paths = asked(["/1", {"while": "true", "do": [{"set-variables": {"a": 1}}]}])
    assert paths == ["/1"]
    assert "100000 steps without a hit" in asked.said


def test_a_whole_url_may_come_in_an_answer(asked):
    other = Paths()
    try:
        link = {"url": "/", "extract-regexp": {"link": "<(.*?)>"}}
        answers = {"/": (200, f"<{other.address}/there?x=1>")}
        assert asked([link, "${link}", "/end"], 1, answers) == ["/", "/end"]
        assert other.asked == ["/there?x=1"]
    finally:
        other.close()


CHECKS = {
    "assert": ["user.*${who}", {"contains": "[{", "regexp": False}, "${who}", "${at}bb?"],
    "assert-jsonpath": [
        "$.",
        "$.data.[${at}].user",
        {"jsonpath": "$.a-b", "expected-value": "x"},
        {"jsonpath": "$.a-b", "expected-value": "[wx]|y+", "validate": True},
        {"jsonpath": "$.data.length()", "expected-value": "${n}"},
        {"jsonpath": "$.data.[0].user.name", "expected-value": "a${nn}"},
        {"jsonpath": "$.gone", "invert": True},
        {"jsonpath": "$.none", "expect-null": True},
    ],
}


def test_variables_in_asserts_and_extracts(asked):
    values = {"who": "ann", "at": 0, "n": 2, "nn": "n+"}
    first = {"url": "/first", "extract-regexp": {"who": "who=(.*)"}}
    second = {
        "url": "/second",
        "extract-regexp": {"found": {"regexp": '"(name)": "${who}"', "default": "no-${who}"}},
        "extract-jsonpath": {"name": "$.data.[${at}].user.name"},
        "extract-boundary": {"key": {"left": '${who}"}}, {"', "right": '"'}},
    }
    body = USERS.replace('"n": 2', '"n": 2, "none": null, "0bb": 1')
    answers = {"/first": (200, "who=ann"), "/second": (200, body)}
    requests = [first, second | CHECKS, "/${found}/${name}/${key}"]
    assert asked(requests, 1, answers, variables=values) == ["/first", "/second", "/name/ann/user"]
    assert "failed 0" in asked.said, asked.said
    answers["/first"] = (200, "who=eve")
    assert asked(requests, 1, answers, variables=values)[2] == "/no-eve/ann/NOT_FOUND"
    assert "doesn't have /user.*${who}/; assert: the body doesn't have /${who}/" in asked.said, (
        asked.said
    )


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"assert-jsonpath": ["$.a["]}, "JSONPath"),
        ({"extract-jsonpath": {"v": "$.a[?(@.b =~ /x/)]"}}, "JSONPath"),
        ({"extract-regexp": {"v": "(?=a)b"}}, "regular expression"),
        ({"assert": ["${x}(?=a)"]}, "regular expression"),
        ({"assert-jsonpath": ["$.${x}["]}, "JSONPath"),
    ],
)
def test_a_mistake_is_told_before_the_start_with_its_request(make_executor, tool, request_, named):
    scenario = {"requests": ["http://h/", {"url": "http://h/x", "label": "the one"} | request_]}
    executor = make_executor({}, scenario, {"path": tool})
    with pytest.raises(TaurusConfigError, match=r"^request \"the one\": .*" + named):
        executor.prepare()
    executor.post_process()


def test_an_open_run_ends_with_its_schedule(make_executor, notes, tool):
    """Whatever the answers do: what was due then and hasn't started is dropped, and counted."""
    listen = f"127.0.0.1:{free_port()}"
    target = [tool, "target", listen, "--delay", "fixed:1s"]
    with subprocess.Popen(target, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        scenario = {"requests": [f"http://{listen}/"], "follow-redirects": False}
        load = {"throughput": 100, "concurrency": 5, "hold-for": "2s"}
        config = ConfigWriter(make_executor(load, scenario), notes).write()
        ran = subprocess.run([tool, "run", config], capture_output=True, text=True, timeout=120)
        process.terminate()
    account = re.search(
        r"scheduled (\d+) = done (\d+) \+ failed 0 \+ dropped (\d+)\ntotal: .* hits in ([\d.]+) s",
        ran.stdout,
    )
    assert account, ran.stdout + ran.stderr
    scheduled, done, dropped = map(int, account.groups()[:3])
    assert scheduled == 200 == done + dropped and 5 <= done <= 15
    # The schedule, and the last answers: all that was due would take 40 s.
    assert float(account[4]) < 20


def test_a_bad_condition_is_told_before_the_start(make_executor, tool):
    scenario = {"requests": [{"if": "x = 5", "then": ["http://h/"]}]}
    executor = make_executor({}, scenario, {"path": tool})
    with pytest.raises(TaurusConfigError, match='condition "x = 5"'):
        executor.prepare()
    executor.post_process()
