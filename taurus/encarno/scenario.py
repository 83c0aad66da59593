"""A scenario's requests, from Taurus's words to payload records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bzt import TaurusConfigError
from bzt.utils import dehumanize_time, parse_think_time

from .body import Body, body_of
from .checks import asserts_of, extracts_of
from .notes import Notes
from .request import head_of, merged_headers, target_of
from .variables import calls_in, names_in, text_of

SCENARIO_KEYS = frozenset(
    "requests script default-address headers timeout think-time keepalive store-cookie "
    "follow-redirects variables data-sources protocol trace-level tls-config input-strings "
    "enable-regex on-fail config".split()
)
_REQUEST_KEYS = frozenset(
    "url method label body body-file upload-files headers think-time timeout keepalive "
    "follow-redirects extract-regexp extract-jsonpath assert assert-jsonpath on-fail".split()
)
_BLOCKS = frozenset("if once loop while foreach action set-variables setup teardown".split())
# As many as JMeter follows.
REDIRECTS_MAX = 20
ON_FAIL = ("continue", "next", "stop")
# Longer payloads are sent from the file, piece by piece: they can't be changed.
MEMORY_BYTES_MAX = 1 << 20


@dataclass
class Record:
    """A payload record: metadata without its length, head and body."""

    metadata: dict
    head: bytes
    body: Body = field(default_factory=Body)

    def __len__(self) -> int:
        return len(self.head) + len(self.body)


class ScenarioTranslator:
    """Makes records of a scenario, one after the other."""

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
        self._include = include
        self._known = set(known) | {text_of(name) for name in scenario.get("variables") or {}}
        # Whether workers need more than to send, and whether something is too long for that.
        self.scripted = False
        self.large = False

    def records(self) -> Iterator[Record]:
        """All of them; nothing is kept."""
        requests = self.scenario.get("requests")
        if isinstance(requests, str):
            source: Iterator[dict] = self._lines(requests)
        else:
            source = self._flat(requests or [])
        first = True
        for request in source:
            record = self._record(request)
            if first and self.scripted:
                record.metadata["scenario"] = True
            first = False
            yield record
        if first and self.protocol == "dummy":
            yield self._record({"url": "/"})
        elif first:
            raise TaurusConfigError("the scenario has no requests: write requests, or a script")

    def _lines(self, name: str) -> Iterator[dict]:
        """A text file: a URL a line, with an optional label before it."""
        path = self._find(name)
        try:
            file = open(path, encoding="utf-8")  # noqa: SIM115
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

    def _flat(self, requests: list) -> Iterator[dict]:
        for request in requests:
            if not isinstance(request, dict):
                yield {"url": text_of(request)}
            elif "transaction" in request:
                self._notes.warn(
                    f"transaction {request['transaction']!r}: its requests are sent; "
                    "it has no sum of its own"
                )
                yield from self._flat(request.get("do") or [])
            elif "include-scenario" in request and self._include:
                yield from self._flat(self._include(request["include-scenario"]).get("requests"))
            elif blocks := _BLOCKS.intersection(request):
                block = min(blocks)
                self._notes.warn(f"requests: encarno doesn't know {block!r}: the block is left out")
            else:
                yield request

    def _record(self, request: dict) -> Record:
        url = text_of(request.get("url"))
        if not url and self.protocol != "udp":
            raise TaurusConfigError(f"requests: the url is missing: {request}")
        method = text_of(request.get("method") or "GET")
        method = method if "${" in method else method.upper()
        label = text_of(request.get("label") or url or "udp")
        self._notes.unknown_keys("requests", request, _REQUEST_KEYS)
        record = self._bytes(request, url, method)
        record.metadata["label"] = label
        self._script(request, record)
        return record

    def _bytes(self, request: dict, url: str, method: str) -> Record:
        """The bytes to send, and where to."""
        default = text_of(self.scenario.get("default-address"))
        headers = merged_headers(self.scenario.get("headers"), request.get("headers"))
        lower = {name.lower(): value for name, value in headers.items()}
        body = body_of(request, method, lower.get("content-type", ""), self._find)
        if self.protocol == "udp":
            return Record({"address": url or default}, b"", body)
        if self.protocol == "dummy" and "://" not in url:
            default = default or "http://dummy"
        if not self._option(request, "keepalive", True) and "connection" not in lower:
            headers["Connection"] = "close"
        query = request.get("body") if method == "GET" else None
        target = target_of(url, default, query if isinstance(query, dict) else None)
        live = bool(self._names(body))
        head = head_of(method, target, headers, body, live)
        return Record({"address": target.address}, head, body)

    def _script(self, request: dict, record: Record) -> None:
        """What the record asks for beyond being sent."""
        metadata = record.metadata
        texts = [metadata["label"], metadata["address"], record.head.decode()]
        names = names_in(texts)
        for name in names:
            if name not in self._known:
                self._notes.warn(f"${{{name}}} in {metadata['label']!r}: nothing sets it before")
        for call in (call for text in texts for call in calls_in(text)):
            self._notes.warn(f"${{{call}}}: encarno doesn't have JMeter's functions")
        names = list(dict.fromkeys(names + self._names(record.body)))
        if names:
            metadata["replaces"] = names
        extracts = extracts_of(request, self._notes)
        self._known.update(extracts)
        large = len(record) > MEMORY_BYTES_MAX
        self.large |= large
        followed = not large and not isinstance(self.scenario.get("requests"), str)
        asked = {
            "extracts": extracts,
            "asserts": asserts_of(request, self._notes),
            "think": think_of(self._option(request, "think-time", None), self._notes),
            "onfail": self._on_fail(request),
            "follow": REDIRECTS_MAX if self._option(request, "follow-redirects", followed) else 0,
        }
        if request.get("timeout"):
            asked["timeout"] = duration_of(request["timeout"])
        if not self._option(request, "keepalive", True):
            asked["keepalive"] = False
        asked = {key: value for key, value in asked.items() if value or value is False}
        self.scripted |= bool(asked)
        metadata.update(asked)

    def _on_fail(self, request: dict) -> str:
        action = text_of(self._option(request, "on-fail", "continue"))
        if action not in ON_FAIL:
            raise TaurusConfigError(f"on-fail: {action!r} isn't one of {', '.join(ON_FAIL)}")
        return "" if action == "continue" else action

    def _names(self, body: Body) -> list[str]:
        """Variables in the body. In a file only those that something sets: its
        other bytes are its own."""
        if not body.parts:
            return []
        names = names_in([body.inline().decode(errors="replace")])
        if len(body) <= MEMORY_BYTES_MAX:
            for part in body.parts:
                if not isinstance(part, bytes):
                    found = names_in([part.read_bytes().decode(errors="replace")])
                    names += [name for name in found if name in self._known]
        return names

    def _option(self, request: dict, key: str, default: object) -> object:
        """A request's own word, or else its scenario's."""
        for source in (request, self.scenario):
            if source.get(key) is not None:
                return source[key]
        return default


def think_of(value: object, notes: Notes) -> str:
    """Taurus's think-time as a delay of ours."""
    if not value:
        return ""
    parsed = parse_think_time(text_of(value), full=True)
    if not isinstance(parsed, list):
        return f"fixed:{duration_of(value)}"
    kind, mean, deviation = parsed
    mean, deviation = dehumanize_time(mean), dehumanize_time(deviation)
    if kind == "uniform":
        return f"uniform:{duration_of(max(mean - deviation, 0))}:{duration_of(mean + deviation)}"
    if kind == "gaussian":
        return f"gaussian:{duration_of(mean)}:{duration_of(deviation)}"
    return f"poisson:{duration_of(mean)}"


def duration_of(value: object) -> str:
    """A duration as the configuration has it."""
    seconds = f"{dehumanize_time(value):.6f}".rstrip("0").rstrip(".")
    return f"{seconds}s"
