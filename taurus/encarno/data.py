"""Data sources: CSV files whose rows become variables."""

import csv

from bzt import TaurusConfigError
from bzt.engine import ScenarioExecutor
from bzt.utils import guess_delimiter

from .notes import Notes
from .variables import text_of

_KEYS = frozenset("path delimiter quoted encoding loop variable-names random-order".split())


def data_of(executor: ScenarioExecutor, notes: Notes) -> tuple[list[dict], frozenset[str]]:
    """The entries of `workers.data`, and the names of all their columns."""
    entries = []
    names: set[str] = set()
    for source in executor.get_scenario().get_data_sources():
        place = f"data-sources {source.get('path')!r}"
        notes.unknown_keys(place, source, _KEYS)
        path = executor.engine.find_file(text_of(source.get("path")))
        encoding = text_of(source.get("encoding") or "utf-8")
        try:
            path = _in_utf8(executor, path, encoding)
            delimiter = source.get("delimiter") or guess_delimiter(path)
            columns = _columns(source, path, delimiter)
        except (OSError, UnicodeError, LookupError) as error:
            raise TaurusConfigError(f"{place}: {error}") from error
        entry = {
            "file": path,
            "delimiter": "tab" if delimiter == "\t" else delimiter,
            "quoted": bool(source.get("quoted", True)),
            "order": _order(source, place, notes),
        }
        if source.get("variable-names"):
            entry["names"] = columns
        entries.append(entry)
        names.update(columns)
    return entries, frozenset(names)


def _order(source: dict, place: str, notes: Notes) -> str:
    loop = source.get("loop", True)
    if not source.get("random-order", False):
        return "loop" if loop else "once"
    if not loop:
        notes.warn(f"{place}: random-order draws rows without end: loop: false has no effect")
    return "random"


def _columns(source: dict, path: str, delimiter: str) -> list[str]:
    given = source.get("variable-names")
    if isinstance(given, list):
        return [text_of(name) for name in given]
    if given:
        return [name.strip() for name in text_of(given).split(",")]
    with open(path, encoding="utf-8", newline="") as file:
        return next(csv.reader(file, delimiter=delimiter), [])


def _in_utf8(executor: ScenarioExecutor, path: str, encoding: str) -> str:
    if encoding.lower().replace("-", "").replace("_", "") in ("utf8", "ascii", "usascii"):
        return path
    copy = executor.engine.create_artifact("encarno_data", ".csv")
    with (
        open(path, encoding=encoding, newline="") as old,
        open(copy, "w", encoding="utf-8", newline="") as new,
    ):
        while chunk := old.read(1 << 20):
            new.write(chunk)
    return copy
