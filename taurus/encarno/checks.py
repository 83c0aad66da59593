"""Translates extractions and assertions from Taurus's format to that of payload records."""

import re
from collections.abc import Iterator

from bzt import TaurusConfigError

from .notes import Notes
from .variables import text_of

# The subjects of a check. As in JMeter, the default is the body.
SUBJECTS = {
    "body": "body",
    "headers": "headers",
    "http-code": "code",
    # Head and body.
    "response": "response",
}
# JMeter's boundary extractor has its own names.
_BOUNDARY_SUBJECTS = {"response-headers": "headers", "code": "http-code"}
_EXTRACT_REGEXP_KEYS = frozenset("regexp default match-no template subject".split())
_EXTRACT_BOUNDARY_KEYS = frozenset("left right default match-no subject".split())
_EXTRACT_JSONPATH_KEYS = frozenset("jsonpath default match-no".split())
_ASSERT_KEYS = frozenset("contains subject regexp not".split())
_ASSERT_JSONPATH_KEYS = frozenset(
    "jsonpath expected-value validate expect-null invert regexp".split()
)
_GROUP = re.compile(r"\$(\d+)\$")
# The characters that distinguish a regular expression from a text.
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_RANDOM = -1
_ALL = -2
# The most values of a list that are variables, too.
NUMBERED_MAX = 20


def extracts_of(request: dict, notes: Notes, listed: frozenset[str] = frozenset()) -> dict:
    """The variables that a request sets from its answer. Those in `listed` get all matches,
    unless the request says which."""
    extracts = {}
    for name, value in _items(request, "extract-regexp"):
        given = value if isinstance(value, dict) else {"regexp": value}
        place = f"extract-regexp {name!r}"
        notes.unknown_keys(place, given, _EXTRACT_REGEXP_KEYS)
        extract: dict = {"re": text_of(_required(given, "regexp", place))}
        extract["matchNo"] = _match_number(given, _ALL if name in listed else 1, place)
        extract.update(_template(given.get("template", 1), extract["re"], place))
        extract["subject"] = _subject(given.get("subject", "body"), place)
        extracts[name] = extract | _default(given)
    for name, given in _items(request, "extract-boundary"):
        place = f"extract-boundary {name!r}"
        if not isinstance(given, dict):
            raise TaurusConfigError(f"{place}: write left and right")
        notes.unknown_keys(place, given, _EXTRACT_BOUNDARY_KEYS)
        left, right = (text_of(_required(given, key, place)) for key in ("left", "right"))
        subject = text_of(given.get("subject", "body"))
        extract = {"re": f"(?s){_quoted(left)}(.*?){_quoted(right)}", "groupNo": 1}
        extract["matchNo"] = _match_number(given, _ALL if name in listed else 1, place)
        extract["subject"] = _subject(_BOUNDARY_SUBJECTS.get(subject, subject), place)
        extracts[name] = extract | _default(given)
    for name, value in _items(request, "extract-jsonpath"):
        given = value if isinstance(value, dict) else {"jsonpath": value}
        place = f"extract-jsonpath {name!r}"
        notes.unknown_keys(place, given, _EXTRACT_JSONPATH_KEYS)
        extract = {"jsonpath": text_of(_required(given, "jsonpath", place)), "subject": "body"}
        extract["matchNo"] = _match_number(given, _ALL if name in listed else 1, place)
        extracts[name] = extract | _default(given)
    return extracts


def names_of(extracts: dict[str, dict]) -> list[str]:
    """The variables that the extracts set. Those of a list are numbered, as in JMeter."""
    names = list(extracts)
    for name, extract in extracts.items():
        if extract["matchNo"] == _ALL:
            names += [f"{name}_{number}" for number in range(1, NUMBERED_MAX + 1)]
            names.append(f"{name}_matchNr")
    return names


def asserts_of(request: dict, notes: Notes) -> list[dict]:
    """The checks of a request's answer."""
    asserts = []
    for value in _list(request.get("assert")):
        given = value if isinstance(value, dict) else {"contains": value}
        notes.unknown_keys("assert", given, _ASSERT_KEYS)
        key = "re" if given.get("regexp", True) else "text"
        for pattern in _list(_required(given, "contains", "assert")):
            check: dict = {key: text_of(pattern), "invert": bool(given.get("not", False))}
            check["subject"] = _subject(given.get("subject", "body"), "assert")
            asserts.append(check)
    for value in _list(request.get("assert-jsonpath")):
        given = value if isinstance(value, dict) else {"jsonpath": value}
        notes.unknown_keys("assert-jsonpath", given, _ASSERT_JSONPATH_KEYS)
        path = text_of(_required(given, "jsonpath", "assert-jsonpath"))
        check = {"jsonpath": path, "invert": bool(given.get("invert", False)), "subject": "body"}
        asserts.append(check | _expected(given))
    return asserts


def _expected(given: dict) -> dict:
    """The check of a JSONPath's node. In JMeter, a regular expression must match all of it."""
    if given.get("expect-null", False):
        return {"equals": "null"}
    expected = given.get("expected-value")
    if expected in (None, "") or not given.get("validate", True):
        return {}
    text = text_of(expected)
    if given.get("regexp", True) and _SPECIAL.search(text):
        return {"re": rf"\A(?:{text})\z"}
    return {"equals": text}


def _match_number(given: dict, default: int, place: str) -> int:
    """Taurus counts from 1, 0 = random, -1 = all; a payload from 0, -1 = random, -2 = all."""
    try:
        number = int(given.get("match-no", default))
    except (TypeError, ValueError) as error:
        raise TaurusConfigError(f"{place}: match-no isn't a number") from error
    if number < 0:
        return _ALL
    return number - 1 if number else _RANDOM


def _template(template: object, regexp: str, place: str) -> dict:
    """A group's number, or a text with `$1$`."""
    text = text_of(template)
    whole = _GROUP.fullmatch(text)
    number = whole[1] if whole else text
    if not number.isdigit():
        return {"groupNo": 0, "template": text}
    try:
        # Without a group, the extract takes the whole match.
        groups = re.compile(regexp).groups
    except re.error:
        return {"groupNo": int(number)}  # encarno reports errors of its own syntax.
    if int(number) > groups and groups:
        raise TaurusConfigError(f"{place}: template: {regexp!r} has no group {number}")
    return {"groupNo": int(number) if groups else 0}


def _quoted(text: str) -> str:
    """A text as a regular expression. Its variables stay variables."""
    parts = re.split(r"(\$\{[^{}]*\})", text)
    return "".join(part if at % 2 else re.escape(part) for at, part in enumerate(parts))


def _default(given: dict) -> dict:
    return {"default": text_of(given["default"])} if "default" in given else {}


def _subject(subject: object, place: str) -> str:
    try:
        return SUBJECTS[text_of(subject)]
    except KeyError:
        known = ", ".join(SUBJECTS)
        raise TaurusConfigError(f"{place}: subject: {subject!r} isn't one of {known}") from None


def _required(given: dict, key: str, place: str) -> object:
    if given.get(key) in (None, "", []):
        raise TaurusConfigError(f"{place}: {key} is missing")
    return given[key]


def _items(request: dict, key: str) -> Iterator[tuple[str, object]]:
    value = request.get(key) or {}
    if not isinstance(value, dict):
        raise TaurusConfigError(f"{key}: write a map from variables to what is extracted")
    for name in value:
        yield text_of(name), value[name]


def _list(value: object) -> list:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
