"""Says once what can't be done as it is written."""

from collections.abc import Iterable
from logging import Logger


class Notes:
    """Warnings about keys, each of them once."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._said: set[str] = set()

    def warn(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._log.warning("%s", text)

    def unknown_keys(self, place: str, keys: Iterable, known: frozenset[str]) -> None:
        """Names the keys that have no effect, for nobody knows them here."""
        for key in keys:
            if key not in known:
                self.warn(f"{place}: encarno doesn't know the key {key!r}: it has no effect")
