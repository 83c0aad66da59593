"""Results while the run goes on: sums by second from `encarno tail`, as data points.

encarno sums up, so that Taurus's own work depends on the number of labels and
of seconds, and not on the number of hits.
"""

import http
import json
import os
import select
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from logging import Logger
from pathlib import Path

from bzt import ToolError
from bzt.modules.aggregator import DataPoint, KPISet, ResultsReader

_READ_BYTES = 1 << 20
# A console that has much to catch up with stays responsive.
_POINTS_MAX = 100
# The last seconds come at once when the run has ended.
_END_SECONDS_MAX = 60.0


class SecondsReader(ResultsReader):
    """Makes a data point of each line."""

    def __init__(self, log: Logger) -> None:
        super().__init__()
        self.log = log.getChild(self.__class__.__name__)
        self.hits = 0
        self._tail: subprocess.Popen | None = None
        self._errors = ""
        self._partial = b""
        self._seconds: list[dict] = []
        self._ended = False
        self._last_second = 0

    def follow(self, tool: str, results: str, pid: int, errors: str) -> None:
        """Starts to follow what that process writes."""
        self._errors = errors
        command = [tool, "tail", results, "--format", "seconds", "--pid", str(pid)]
        with open(errors, "wb") as stderr:
            # A session of its own: Ctrl-C is for Taurus, and the tail ends with the run.
            self._tail = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        os.set_blocking(self._tail.stdout.fileno(), False)

    def finish(self) -> None:
        """Reads the rest: the run has ended, and so its results do."""
        if self._tail is None:
            return
        deadline = time.monotonic() + _END_SECONDS_MAX
        while not self._ended:
            wait = deadline - time.monotonic()
            if wait <= 0:
                self.log.warning("the last results didn't come within %d s", _END_SECONDS_MAX)
                break
            select.select([self._tail.stdout], [], [], wait)
            self._receive()
        if self._tail.poll() is None:
            if not self._ended:
                self._tail.kill()
            self._tail.wait(10)
        self._tail.stdout.close()
        code, self._tail = self._tail.returncode, None
        said = Path(self._errors).read_text(encoding="utf-8", errors="replace").strip()
        if code:
            raise ToolError(f"the results can't be followed: {said or code}")
        if said:
            self.log.warning("%s", said)

    def _receive(self) -> None:
        while not self._ended:
            try:
                chunk = os.read(self._tail.stdout.fileno(), _READ_BYTES)
            except BlockingIOError:
                return
            self._ended = not chunk
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            seconds = [json.loads(line) for line in lines]
            self._seconds += seconds
            self.hits += sum(kind["hits"] for second in seconds for kind in second["kinds"])

    def _calculate_datapoints(self, final_pass: bool = False) -> Iterator[DataPoint]:
        if self._tail is not None:
            self._receive()
        count = len(self._seconds) if final_pass else _POINTS_MAX
        seconds, self._seconds = self._seconds[:count], self._seconds[count:]
        for second in seconds:
            yield self._point(second)

    def _ramp_up_exclude(self) -> bool:
        return False

    def _point(self, data: dict) -> DataPoint:
        second = data["second"]
        if second <= self._last_second:
            # Its second is told already: it is counted with the next one.
            second = self._last_second + 1
        else:
            self._last_second = second
        point = DataPoint(second, self.track_percentiles)
        point[DataPoint.SOURCE_ID] = id(self)
        current = point[DataPoint.CURRENT]
        for kind in data["kinds"]:
            label = kind["label"] or "[empty]"
            if any(label.startswith(ignored) for ignored in self.ignored_labels):
                continue
            if self.generalize_labels:
                label = self._generalize_label(label)
            rc, error = str(kind["status"]), self._fold_error(error_of(kind))
            if self._redundant_aggregation:
                label = self.get_mixed_label(label, rc, error)
            if label not in current:
                current[label] = self._kpis(label)
            _add(current[label], kind, rc, error)
        overall = self._kpis("")
        for kpis in current.values():
            overall.merge_kpis(kpis, point[DataPoint.SOURCE_ID])
        current[""] = overall
        return point

    def _kpis(self, label: str) -> KPISet:
        known = self.cumulative.get(label)
        high = known[KPISet.RESP_TIMES].high if known else self.histogram_max * 1000.0
        return KPISet(self.track_percentiles, high, self._redundant_aggregation)


def error_of(kind: dict) -> str | None:
    """What is wrong with these hits; None = nothing."""
    if kind["error"]:
        return kind["error"]
    status = kind["status"]
    if status < 400:
        return None
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"


def _add(kpis: KPISet, kind: dict, rc: str, error: str | None) -> None:
    hits = kind["hits"]
    kpis[KPISet.SAMPLE_COUNT] += hits
    kpis[KPISet.FAILURES if error else KPISet.SUCCESSES] += hits
    kpis[KPISet.BYTE_COUNT] += kind["received_bytes"]
    kpis[KPISet.RESP_CODES][rc] += hits
    kpis.sum_rt += kind["response_ns"] / 1e9
    kpis.sum_lt += kind["first_byte_ns"] / 1e9
    kpis.sum_cn += kind["connect_ns"] / 1e9
    kpis.add_concurrency(kind["concurrency"], "")
    for milliseconds, count in kind["response_ms"]:
        kpis[KPISet.RESP_TIMES].add(milliseconds / 1000, count)
    if error:
        asserted = kind["answered"] and kind["error"]
        kind_of_error = KPISet.ERRTYPE_ASSERT if asserted else KPISet.ERRTYPE_ERROR
        item = KPISet.error_item_skel(error, rc, hits, kind_of_error, Counter(), None)
        KPISet.inc_list(kpis[KPISet.ERRORS], ("msg", error), item)
