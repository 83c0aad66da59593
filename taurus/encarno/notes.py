"""Warns once of each key that can't be followed."""

from collections.abc import Iterable
from logging import Logger

# Keys of JMeter's executor that encarno doesn't have, with what to write instead.
INSTEAD = {
    "extract-css-jquery": "write extract-regexp or extract-boundary",
    "extract-xpath": "write extract-regexp or extract-boundary",
    "assert-xpath": "write assert with a regexp",
    "jsr223": "encarno runs no code: write set-variables, or run this scenario with JMeter",
    "from-variable": "extract from the response that has the value",
    "scope": "encarno looks at the response itself",
    "concat": "write match-no: -1 and foreach",
    "assume-success": "a status of 400 and above stays a failure",
    "retrieve-resources": "write their URLs as requests",
    "store-cache": "encarno caches nothing",
    "keystore-config": "write tls-config with certificatefile and keyfile",
    "properties": "write variables",
    "modifications": "they are for JMX files",
    "force-parent-sample": "encarno records hits and no sums of them",
}


class Notes:
    """Logs warnings, each of them once."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._said: set[str] = set()

    def warn(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._log.warning("%s", text)

    def unknown_keys(self, place: str, keys: Iterable, known: frozenset[str]) -> None:
        """Warns of keys that have no effect, and names their replacements."""
        for key in keys:
            if key not in known:
                instead = f"; {INSTEAD[key]}" if key in INSTEAD else ""
                self.warn(
                    f"{place}: encarno doesn't know the key {key!r}: it has no effect{instead}"
                )
