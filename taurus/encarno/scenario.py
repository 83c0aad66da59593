"""Translates a scenario's requests from Taurus's format to payload records."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from bzt import TaurusConfigError
from bzt.utils import parse_think_time

from .blocks import LAST_OK, Blocks, Request, Step, assigned_names, listed_names
from .body import Body, body_of
from .checks import asserts_of, extracts_of, names_of
from .durations import duration_of, seconds_of
from .fleet import FLEET_KEYS
from .identity import identity_of
from .notes import Notes
from .protocols import has_headers, has_one_address, sends_bytes, sends_calls, sends_http
from .request import head_of, merged_headers, target_of, without_user
from .variables import calls_in, names_in, starts_with_variable, text_of, with_values

# encarno's own keys, of a scenario or of the module's settings.
OWN_KEYS = FLEET_KEYS | frozenset(
    "protocol nib scenario-component streams options proto proto-path descriptors tls-config "
    "trace-level output-format input-strings config capacity".split()
)
SCENARIO_KEYS = OWN_KEYS | frozenset(
    "requests script default-address headers timeout think-time keepalive store-cookie "
    "follow-redirects variables data-sources cookies authorization enable-regex on-fail".split()
)
_REQUEST_KEYS = frozenset(
    "url method label body body-file upload-files headers think-time timeout keepalive "
    "follow-redirects extract-regexp extract-boundary extract-jsonpath assert assert-jsonpath "
    "on-fail".split()
)
TIMEOUT = "10s"
# The address of a request if its URL is a variable that doesn't contain a whole URL.
NO_ADDRESS = "http://there-is-no-default-address.invalid"
# The same number as JMeter follows.
REDIRECTS_MAX = 20
ON_FAIL = ("continue", "next", "stop")
# Longer payloads are sent from the file in pieces, so variables can't change them.
MEMORY_BYTES_MAX = 1 << 20
# The keys of checks and extracts that may contain variables.
_PATTERNS = ("re", "text", "jsonpath", "equals", "default")


@dataclass
class Record:
    """A payload record: its metadata without the length, its head and its body."""

    metadata: dict
    head: bytes
    body: Body = field(default_factory=Body)

    def __len__(self) -> int:
        return len(self.head) + len(self.body)


class ScenarioTranslator:
    """Makes the records of a scenario one by one."""

    def __init__(
        self,
        scenario: dict,
        find: Callable[[str], str],
        notes: Notes,
        known: frozenset[str] = frozenset(),
        include: Callable[[str], dict] | None = None,
    ) -> None:
        self.scenario = scenario
        self.protocol = text_of(scenario.get("protocol") or "http")
        self._find = find
        self._notes = notes
        self._blocks = Blocks(notes, include, self._lines)
        values = {text_of(k): text_of(v) for k, v in (scenario.get("variables") or {}).items()}
        assigned = known | set(assigned_names(scenario.get("requests"), include))
        self._listed = frozenset(listed_names(scenario.get("requests"), include))
        self._constants = {name: value for name, value in values.items() if name not in assigned}
        self._known = set(known) | set(values)
        # Variables that nothing sets, as a warning has said.
        self._unset: set[str] = set()
        # Whether the records need more than sending, and whether one is too long for that.
        self.scripted = False
        self.large = False

    @property
    def lasting(self) -> bool:
        """Whether a user's values must last from one pass to the next."""
        return self._blocks.lasting

    def records(self) -> Iterator[Record]:
        """Yields all records without keeping them."""
        first, sent = True, False
        for item in self._blocks.items(self.scenario):
            record = self._step(item) if isinstance(item, Step) else self._record(item)
            if first and self.scripted:
                record.metadata["scenario"] = True
            first = False
            sent |= isinstance(item, Request)
            yield record
        if not sent and self.protocol == "dummy":
            yield self._record(Request({"url": "/"}, self.scenario))
        elif not sent:
            raise TaurusConfigError("the scenario has no requests: write requests, or a script")

    def _lines(self, name: str) -> Iterator[dict]:
        """Reads a text file with a URL on each line, and an optional label before it."""
        path = self._find(name)
        try:
            file = open(path, encoding="utf-8-sig")  # noqa: SIM115
        except OSError as error:
            raise TaurusConfigError(f"requests: can't read {path}: {error.strerror}") from error
        with file:
            try:
                for line in file:
                    *label, url = line.split() or [""]
                    if url:
                        yield {"url": url} | ({"label": " ".join(label)} if label else {})
            except UnicodeDecodeError as error:
                raise TaurusConfigError(f"requests: {path} isn't UTF-8: {error}") from error

    def _step(self, step: Step) -> Record:
        self.scripted = True
        values = step.keys.get("set", {})
        each = step.keys.get("each", {})
        texts = [*values.values(), step.keys.get("if", ""), step.keys.get("times", "")]
        keys = dict(step.keys)
        if each:
            numbered = self._numbered(each["of"])
            keys["each"] = each | {"items": numbered}
            if not numbered:
                of = each["of"]
                self._notes.warn(
                    f"foreach: nothing sets {of}_1 before: its requests are never sent; write "
                    f"an extract {of!r} with match-no: -1, or the variables {of}_1, {of}_2, …"
                )
        metadata: dict = {"label": next(iter(keys)), "step": keys}
        names = self._named(texts, f"the block {metadata['label']!r}")
        if names:
            metadata["replaces"] = names
        self._known.update(values, [each["name"]] if each else [])
        return Record(metadata, b"")

    def _record(self, item: Request) -> Record:
        request = item.keys
        url = text_of(request.get("url"))
        bytes_alone = sends_bytes(self.protocol)
        if bytes_alone and url and has_one_address(self.protocol):
            raise TaurusConfigError(
                f"requests: {self.protocol} sends the body alone, to default-address: "
                f"leave url {without_user(url)!r} out"
            )
        if not url and not bytes_alone:
            place = f" (label {text_of(request['label'])!r})" if request.get("label") else ""
            raise TaurusConfigError(f"requests: a request has no url{place}")
        posts = bytes_alone or sends_calls(self.protocol)
        method = text_of(request.get("method") or ("POST" if posts else "GET"))
        method = method if "${" in method else method.upper()
        label = text_of(request.get("label") or without_user(url) or self.protocol)
        self._notes.unknown_keys("requests", request, _REQUEST_KEYS)
        record = self._bytes(item, url, method)
        record.metadata["label"] = label
        self._script(item, record)
        return record

    def _bytes(self, item: Request, url: str, method: str) -> Record:
        """The record with the bytes to send and the address."""
        request, scope = item.keys, item.scope
        # A variable may be the whole address. Then its value is needed now.
        default = with_values(text_of(scope.get("default-address")), self._constants)
        if starts_with_variable(url):
            url = with_values(url, self._constants)
        headers = merged_headers(scope.get("headers"), request.get("headers"))
        lower = {name.lower(): value for name, value in headers.items()}
        bytes_alone = sends_bytes(self.protocol)
        json_alone = bytes_alone or sends_calls(self.protocol)
        form = "application/json" if json_alone else lower.get("content-type", "")
        body = body_of(request, method, form, self._find)
        if bytes_alone:
            if headers and not has_headers(self.protocol):
                self._notes.warn(f"headers: {self.protocol} has none: they have no effect")
            return Record(self._at(url or default), b"", body)
        if has_one_address(self.protocol):
            # Its path belongs to the connection.
            default = "http://localhost"
        if self.protocol == "dummy" and "://" not in url:
            default = default or "http://dummy"
        if not _option(item, "keepalive", True) and "connection" not in lower:
            headers["Connection"] = "close"
        query = request.get("body") if method == "GET" else None
        whole = starts_with_variable(url) and sends_http(self.protocol)
        if whole and not default:
            # The variable must contain the whole URL.
            default = NO_ADDRESS
        target = target_of(url, default, query if isinstance(query, dict) else None)
        identity = identity_of(scope, target, self._notes)
        headers |= {name: value for name, value in identity.items() if name.lower() not in lower}
        live = bool(self._names(body))
        head = head_of(method, target, headers, body, live)
        metadata = self._at(target.address) | ({"wholeurl": True} if whole else {})
        return Record(metadata, head, body)

    def _at(self, address: str) -> dict:
        """Where a record goes, unless the run says it."""
        return {} if has_one_address(self.protocol) else {"address": address}

    def _script(self, item: Request, record: Record) -> None:
        """Adds what the record needs besides sending."""
        request, metadata = item.keys, record.metadata
        extracts = extracts_of(request, self._notes, self._listed)
        asserts = asserts_of(request, self._notes)
        texts = [metadata["label"], metadata.get("address", ""), record.head.decode()]
        texts += _patterns(extracts.values())
        texts.append(record.body.inline().decode(errors="replace"))
        names = self._named(texts, repr(metadata["label"]))
        names += self._names(record.body)
        self._known.update(names_of(extracts))
        # Asserts see the variables that this answer sets.
        names += self._named(_patterns(asserts), repr(metadata["label"]))
        if names:
            metadata["replaces"] = list(dict.fromkeys(names))
        large = len(record) > MEMORY_BYTES_MAX
        self.large |= large
        followed = (
            sends_http(self.protocol)
            and not large
            and not isinstance(item.scope.get("requests"), str)
        )
        think = _option(item, "think-time", None)
        asked = {
            "extracts": extracts,
            "asserts": asserts,
            "think": think_of(think, self._notes, item.pause),
            "onfail": _on_fail(item),
            "follow": REDIRECTS_MAX if _option(item, "follow-redirects", followed) else 0,
        }
        timeout = request.get("timeout")
        if not timeout and item.scope is not self.scenario:
            # The timeout of the run is that of the main scenario, so another one is set here.
            given = item.scope.get("timeout") or TIMEOUT
            timeout = given if given != (self.scenario.get("timeout") or TIMEOUT) else None
        if timeout:
            asked["timeout"] = duration_of(timeout, f"timeout of {metadata['label']!r}")
        if not _option(item, "keepalive", True):
            asked["keepalive"] = False
        asked = {key: value for key, value in asked.items() if value or value is False}
        self.scripted |= bool(asked) or "wholeurl" in metadata
        metadata.update(asked)

    def _numbered(self, name: str) -> list[str]:
        """The variables name_1, name_2 and so on that have values."""
        numbers = itertools.takewhile(
            lambda number: f"{name}_{number}" in self._known, itertools.count(1)
        )
        return [f"{name}_{number}" for number in numbers]

    def _named(self, texts: list[str], place: str) -> list[str]:
        """The variables in these texts. Warns of variables that nothing sets."""
        names = names_in(texts)
        for name in names:
            # Each name once, because a header is in every request.
            if name not in self._known and name != LAST_OK and name not in self._unset:
                self._unset.add(name)
                self._notes.warn(
                    f"${{{name}}} in {place}: nothing sets it before: it is sent as NO_VALUE"
                )
        for call in (call for text in texts for call in calls_in(text)):
            self._notes.warn(
                f"${{{call}}} in {place}: encarno doesn't have JMeter's functions: it is sent "
                "as it is written; use variables or data-sources"
            )
        return names

    def _names(self, body: Body) -> list[str]:
        """The variables in the body. In a file, only names with values are variables, because
        other text may look like one."""
        if not body.parts:
            return []
        names = names_in([body.inline().decode(errors="replace")])
        if len(body) <= MEMORY_BYTES_MAX:
            for part in body.parts:
                if not isinstance(part, bytes):
                    found = names_in([part.read_bytes().decode(errors="replace")])
                    names += [name for name in found if name in self._known]
        return names


def _option(item: Request, key: str, default: object) -> object:
    """The request's value of a key, or else its scenario's."""
    for source in (item.keys, item.scope):
        if source.get(key) is not None:
            return source[key]
    return default


def _on_fail(item: Request) -> str:
    action = text_of(_option(item, "on-fail", "continue"))
    if action not in ON_FAIL:
        raise TaurusConfigError(f"on-fail: {action!r} isn't one of {', '.join(ON_FAIL)}")
    return "" if action == "continue" else action


def think_of(value: object, notes: Notes, pause: object = None) -> str:
    """Taurus's think-time as encarno's delay, with a pause added."""
    longer = seconds_of(pause, "pause") if pause else 0
    parsed = parse_think_time(text_of(value), full=True) if value else None
    if not isinstance(parsed, list):
        seconds = (seconds_of(value, "think-time") if value else 0) + longer
        return f"fixed:{duration_of(seconds)}" if seconds else ""
    kind, mean, deviation = parsed[0], *(seconds_of(part, "think-time") for part in parsed[1:])
    if kind == "poisson":
        return f"poisson:{duration_of(mean + longer)}"
    mean += longer
    if kind == "uniform":
        return f"uniform:{duration_of(max(mean - deviation, 0))}:{duration_of(mean + deviation)}"
    return f"gaussian:{duration_of(mean)}:{duration_of(deviation)}"


def _patterns(looks: Iterable[dict]) -> list[str]:
    """The texts of extracts or asserts that may contain variables."""
    return [look[key] for look in looks for key in _PATTERNS if key in look]
