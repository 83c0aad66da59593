"""The order of a scenario's requests: blocks, as JMeter's controllers have them.

A block becomes steps: records that aren't sent, but that name the record where a user continues.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bzt import TaurusConfigError

from .identity import authorization_list
from .notes import Notes
from .request import merged_headers
from .variables import text_of

_FOREACH = re.compile(r"\s*(\S+)\s+in\s+(\S+)\s*")
_VARIABLE = re.compile(r"\$\{[^{}]+\}")
_CALL = re.compile(
    r"\s*\$\{__(?:jexl[23]?|javaScript|groovy)\((.*?)(?:(?<!\\),\s*\w*\s*)?\)\}\s*", re.S
)
_VARS_GET = re.compile(r"""vars\.get\((["'])([\w.-]+)\1\)""")
LAST_OK = "JMeterThread.last_sample_ok"
_LISTS = ("do", "then", "else", "once", "setup")
# The keys that an included scenario doesn't get from the one that includes it.
_OWN = ("timeout", "think-time", "keepalive", "follow-redirects", "on-fail")


@dataclass(frozen=True)
class Request:
    """A request, and the scenario whose settings are its defaults."""

    keys: dict
    scope: dict
    # The pause after the request, in Taurus's format.
    pause: object = None


@dataclass(frozen=True)
class Step:
    """What a user does other than sending."""

    keys: dict


Item = Request | Step


class Blocks:
    """Goes through the requests of a scenario, and of the scenarios that it includes."""

    def __init__(
        self,
        notes: Notes,
        include: Callable[[str], dict] | None = None,
        lines: Callable[[str], Iterator[dict]] | None = None,
    ) -> None:
        self._notes = notes
        self._include = include
        self._lines = lines
        self._path: list[str] = []
        # Whether a user's values must last from one pass to the next.
        self.lasting = False

    def items(self, scenario: dict) -> Iterator[Item]:
        """Yields the requests and steps of a scenario in their order."""
        requests = scenario.get("requests")
        if isinstance(requests, str):
            for request in self._lines(requests) if self._lines else ():
                yield Request(request, scenario)
        else:
            yield from self._flat(_list(requests), scenario)

    def _flat(self, requests: list, scope: dict) -> Iterator[Item]:
        for place, given in enumerate(requests):
            keys = given if isinstance(given, dict) else {"url": text_of(given)}
            block = next((name for name in _BLOCKS if name in keys), None)
            if block:
                yield from _BLOCKS[block](self, keys, scope)
            else:
                yield Request(keys, scope, _pause_after(requests[place + 1 :]))

    def _body(self, keys: dict, name: str, key: str, scope: dict) -> list[Item]:
        if not isinstance(keys.get(key), list):
            raise TaurusConfigError(f"{name}: {key!r} is missing: a list of requests")
        return list(self._flat(keys[key], scope))

    def _transaction(self, keys: dict, scope: dict) -> Iterator[Item]:
        name = f"transaction {text_of(keys['transaction'])!r}"
        self._notes.warn(f"{name}: its requests are sent; it has no sum of its own")
        yield from self._body(keys, name, "do", scope)

    def _included(self, keys: dict, scope: dict) -> Iterator[Item]:
        name = text_of(keys["include-scenario"])
        if name in self._path:
            raise TaurusConfigError(f"include-scenario: {name!r} includes itself")
        self._path.append(name)
        inner = self._include(name) if self._include else {}
        if inner.get("script"):
            self._notes.warn(f"include-scenario {name!r}: its script isn't sent: write requests")
        yield from self.items(merged_scenario(scope, inner))
        self._path.pop()

    def _if(self, keys: dict, scope: dict) -> Iterator[Item]:
        then = self._body(keys, "if", "then", scope)
        otherwise = self._body(keys, "if", "else", scope) if keys.get("else") else []
        skip = len(then) + bool(otherwise)
        yield Step({"if": condition_of(text_of(keys["if"])), "skip": skip})
        yield from then
        if otherwise:
            yield Step({"skip": len(otherwise)})
            yield from otherwise

    def _while(self, keys: dict, scope: dict) -> Iterator[Item]:
        condition = condition_of(text_of(keys["while"]))
        if condition in ("", "LAST"):
            condition = f"${{{LAST_OK}}}"
        if _VARIABLE.fullmatch(condition):
            # JMeter repeats the block as long as the variable isn't "false".
            condition += ' != "false"'
        yield from _again({"if": condition}, self._body(keys, "while", "do", scope))

    def _loop(self, keys: dict, scope: dict) -> Iterator[Item]:
        times = text_of(keys["loop"])
        body = self._body(keys, f"loop {times}", "do", scope)
        times = "" if times in ("forever", "-1") else times
        if not body:
            return
        yield from _again({"times": times} if times else {}, body)

    def _foreach(self, keys: dict, scope: dict) -> Iterator[Item]:
        found = _FOREACH.fullmatch(text_of(keys["foreach"]))
        if not found:
            raise TaurusConfigError(
                f"foreach: write 'NAME in NAMES', and not {text_of(keys['foreach'])!r}"
            )
        body = self._body(keys, "foreach", "do", scope)
        yield from _again({"each": {"name": found[1], "of": found[2]}}, body)

    def _once(self, keys: dict, scope: dict) -> Iterator[Item]:
        name = "setup" if "setup" in keys else "once"
        body = self._body(keys, name, name, scope)
        self.lasting = True
        yield Step({"once": True, "skip": len(body)})
        yield from body

    def _teardown(self, _keys: dict, _scope: dict) -> Iterator[Item]:
        self._notes.warn(
            "teardown: encarno doesn't know when a user's last pass is: the block is left out; "
            "write its requests at the end of the scenario, or in an execution of their own"
        )
        yield from ()

    def _set(self, keys: dict, _scope: dict) -> Iterator[Item]:
        values = keys["set-variables"]
        if not isinstance(values, dict):
            raise TaurusConfigError("set-variables: write a map from variables to values")
        self.lasting = True
        yield Step({"set": {text_of(name): text_of(value) for name, value in values.items()}})

    def _action(self, keys: dict, _scope: dict) -> Iterator[Item]:
        action = text_of(keys["action"])
        everyone = keys.get("target", "current-thread") != "current-thread"
        if action == "continue" or (action in ("stop", "stop-now") and not everyone):
            yield Step({"end": "pass" if action == "continue" else "worker"})
        elif action == "pause":
            # The pause belongs to the request before it: see _pause_after.
            if not keys.get("pause-duration"):
                raise TaurusConfigError("action: pause: pause-duration is missing")
        else:
            self._notes.warn(
                f"action {action!r} for {keys.get('target')!r}: a user of encarno can't stop "
                "others: it is left out; write passfail criteria"
            )


def condition_of(text: str) -> str:
    """The condition without the JMeter function that would evaluate it."""
    found = _CALL.fullmatch(text)
    inner = found[1] if found else text
    return _VARS_GET.sub(r'"${\2}"', inner).strip()


def merged_scenario(outer: dict, inner: dict) -> dict:
    """The included scenario `inner` with its own settings, and the values of both."""
    merged = {key: value for key, value in outer.items() if key not in _OWN} | inner
    merged["headers"] = merged_headers(outer.get("headers"), inner.get("headers"))
    merged["variables"] = (inner.get("variables") or {}) | (outer.get("variables") or {})
    merged["cookies"] = _list(inner.get("cookies")) + _list(outer.get("cookies"))
    merged["authorization"] = authorization_list(inner) + authorization_list(outer)
    merged["requests"] = inner.get("requests")
    return merged


def included_names(requests: object) -> Iterator[str]:
    """The names of the included scenarios, anywhere in the blocks."""
    for request in requests if isinstance(requests, list) else ():
        if isinstance(request, dict):
            if "include-scenario" in request:
                yield text_of(request["include-scenario"])
            for key in _LISTS:
                yield from included_names(request.get(key))


def files_of(requests: object) -> Iterator[str]:
    """The files that requests need, anywhere in the blocks."""
    if isinstance(requests, str):
        yield requests
    for request in requests if isinstance(requests, list) else ():
        if isinstance(request, dict):
            yield request.get("body-file")
            yield from (upload.get("path") for upload in request.get("upload-files") or [])
            for key in _LISTS:
                yield from files_of(request.get(key) or [])


def assigned_names(
    requests: object, include: Callable[[str], dict] | None = None, seen: tuple = ()
) -> Iterator[str]:
    """The names of the variables that get their values while the test runs."""
    for request in requests if isinstance(requests, list) else ():
        if not isinstance(request, dict):
            continue
        for key in ("extract-regexp", "extract-boundary", "extract-jsonpath", "set-variables"):
            if isinstance(request.get(key), dict):
                yield from map(text_of, request[key])
        yield text_of(request.get("foreach")).partition(" ")[0]
        for key in _LISTS:
            yield from assigned_names(request.get(key), include, seen)
        name = request.get("include-scenario")
        if name and include and name not in seen:
            inner = include(name).get("requests")
            yield from assigned_names(inner, include, (*seen, name))


def listed_names(
    requests: object, include: Callable[[str], dict] | None = None, seen: tuple = ()
) -> Iterator[str]:
    """The names of the lists that foreach blocks go through."""
    for request in requests if isinstance(requests, list) else ():
        if isinstance(request, dict):
            found = _FOREACH.fullmatch(text_of(request.get("foreach")))
            if found:
                yield found[2]
            for key in _LISTS:
                yield from listed_names(request.get(key), include, seen)
            name = request.get("include-scenario")
            if name and include and name not in seen:
                yield from listed_names(include(name).get("requests"), include, (*seen, name))


def _again(condition: dict, body: list[Item]) -> Iterator[Item]:
    """Repeats the body as long as the condition holds."""
    yield Step(condition | {"skip": len(body) + 1})
    yield from body
    yield Step({"back": len(body) + 1})


def _pause_after(following: list) -> object:
    """The length of the pause that follows, or None if no pause follows."""
    keys = following[0] if following else None
    if isinstance(keys, dict) and keys.get("action") == "pause":
        return keys.get("pause-duration")
    return None


def _list(value: object) -> list:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


_BLOCKS: dict[str, Callable[[Blocks, dict, dict], Iterator[Item]]] = {
    "if": Blocks._if,
    "once": Blocks._once,
    "loop": Blocks._loop,
    "while": Blocks._while,
    "foreach": Blocks._foreach,
    "transaction": Blocks._transaction,
    "include-scenario": Blocks._included,
    "action": Blocks._action,
    "set-variables": Blocks._set,
    "setup": Blocks._once,
    "teardown": Blocks._teardown,
}
