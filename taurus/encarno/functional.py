"""Results of a functional test (bzt -func): a sample for each hit."""

from collections.abc import Iterator
from logging import Logger

from bzt.modules.functional import FunctionalResultsReader, FunctionalSample

from .reader import error_text
from .tail import Tail

# The status of a hit without an answer.
_NO_ANSWER = 999


class FunctionalReader(Tail, FunctionalResultsReader):
    """Makes a sample of each hit."""

    def __init__(self, log: Logger, suite: str) -> None:
        super().__init__(log.getChild(self.__class__.__name__), "ldjson")
        self._suite = suite
        self._lines: list[dict] = []

    def take(self, line: dict) -> None:
        self._lines.append(line)
        self.hits += 1

    def read(self, last_pass: bool = False) -> Iterator[FunctionalSample]:
        """The samples since the last call."""
        del last_pass  # The executor has already read the rest.
        self.receive()
        lines, self._lines = self._lines, []
        for line in lines:
            yield self._sample(line)

    def _sample(self, line: dict) -> FunctionalSample:
        error = error_text(line["Status"], line["ErrorStr"])
        status = "PASSED"
        if error:
            status = "BROKEN" if line["Status"] == _NO_ANSWER else "FAILED"
        return FunctionalSample(
            test_case=line["Label"] or "[empty]",
            test_suite=self._suite,
            status=status,
            start_time=line["StartTS"],
            duration=line["Elapsed"] / 1e9,
            error_msg=error or "",
            error_trace="",
            extras={
                "responseCode": line["Status"],
                "responseSize": line["RespBytesCount"],
                "requestSize": line["SentBytesCount"],
            },
        )
