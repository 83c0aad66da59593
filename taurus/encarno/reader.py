"""Reads results while the run goes on: the sums of seconds from `encarno tail`, as data points.

encarno sums up the hits, so that the work in Taurus depends on the numbers of labels and
seconds, but not on the number of hits.
"""

import http
from collections import Counter
from collections.abc import Iterator
from logging import Logger

from bzt.modules.aggregator import DataPoint, KPISet, ResultsReader

from .tail import Tail

# The most data points at a time, so that a console that is behind stays responsive.
_POINTS_MAX = 100


class SecondsReader(Tail, ResultsReader):
    """Turns each line into a data point."""

    def __init__(self, log: Logger) -> None:
        ResultsReader.__init__(self)
        Tail.__init__(self, log.getChild(self.__class__.__name__), "seconds")
        self._seconds: list[dict] = []
        self._last_second = 0

    def take(self, line: dict) -> None:
        self._seconds.append(line)
        self.hits += sum(kind["hits"] for kind in line["kinds"])

    def _calculate_datapoints(self, final_pass: bool = False) -> Iterator[DataPoint]:
        self.receive()
        count = len(self._seconds) if final_pass else _POINTS_MAX
        seconds, self._seconds = self._seconds[:count], self._seconds[count:]
        for second in seconds:
            yield self._point(second)

    def _ramp_up_exclude(self) -> bool:
        return False

    def _point(self, data: dict) -> DataPoint:
        second = data["second"]
        if second <= self._last_second:
            # Taurus has this second already, so the hits count in the next one.
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
            rc = str(kind["status"])
            error = self._fold_error(failure_text(kind))
            if self._redundant_aggregation:
                label = self.get_mixed_label(label, rc, error)
            if label not in current:
                current[label] = self._kpis(label)
            _add(current[label], kind, rc, error, data["users"])
        overall = self._kpis("")
        for kpis in current.values():
            overall.merge_kpis(kpis, point[DataPoint.SOURCE_ID])
        current[""] = overall
        return point

    def _kpis(self, label: str) -> KPISet:
        known = self.cumulative.get(label)
        high = known[KPISet.RESP_TIMES].high if known else self.histogram_max * 1000.0
        return KPISet(self.track_percentiles, high, self._redundant_aggregation)


def error_text(status: int, error: str) -> str | None:
    """The error of a hit, or None."""
    if error or status < 400:
        return error or None
    return status_text(status)


def failure_text(kind: dict) -> str | None:
    """The error of hits that were summed up, or None."""
    if not kind["failed"]:
        return None
    return kind["error"] or status_text(kind["status"])


def status_text(status: int) -> str:
    """The description of a status."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"


def _add(kpis: KPISet, kind: dict, rc: str, error: str | None, users: int) -> None:
    hits = kind["hits"]
    kpis[KPISet.SAMPLE_COUNT] += hits
    kpis[KPISet.FAILURES if error else KPISet.SUCCESSES] += hits
    kpis[KPISet.BYTE_COUNT] += kind["received_bytes"]
    kpis[KPISet.RESP_CODES][rc] += hits
    kpis.sum_rt += kind["response_ns"] / 1e9
    kpis.sum_lt += kind["first_byte_ns"] / 1e9
    kpis.sum_cn += kind["connect_ns"] / 1e9
    kpis.add_concurrency(users, "")
    for milliseconds, count in kind["response_ms"]:
        kpis[KPISet.RESP_TIMES].add(milliseconds / 1000, count)
    if error:
        asserted = kind["answered"] and kind["error"]
        kind_of_error = KPISet.ERRTYPE_ASSERT if asserted else KPISet.ERRTYPE_ERROR
        item = KPISet.error_item_skel(error, rc, hits, kind_of_error, Counter(), None)
        KPISet.inc_list(kpis[KPISet.ERRORS], ("msg", error), item)
