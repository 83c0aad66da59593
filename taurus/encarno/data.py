"""Data sources: CSV files whose rows become variables."""

import csv
from collections.abc import Iterable, Iterator

from bzt import TaurusConfigError
from bzt.engine import Engine, Scenario
from bzt.utils import guess_csv_dialect

from .notes import Notes
from .private import private_artifact
from .variables import text_of

_KEYS = frozenset("path delimiter quoted encoding loop variable-names random-order".split())
_UTF8 = ("utf8", "ascii", "usascii")


def data_of(
    scenarios: Iterable[Scenario], engine: Engine, notes: Notes
) -> tuple[list[dict], frozenset[str]]:
    """The entries of `workers.data`, and the names of all their columns."""
    entries = []
    names: set[str] = set()
    for source in (source for scenario in scenarios for source in scenario.get_data_sources()):
        place = f"data-sources {source.get('path')!r}"
        notes.unknown_keys(place, source, _KEYS)
        path = engine.find_file(text_of(source.get("path")))
        encoding = text_of(source.get("encoding") or "utf-8")
        quoted = bool(source.get("quoted", True))
        try:
            delimiter = text_of(source.get("delimiter") or _guessed(path, encoding))
            if not _is_plain(encoding, delimiter):
                path = _copy(engine, path, encoding, delimiter, quoted)
                delimiter, quoted = ",", True
            columns = _columns(source, path, delimiter)
        except (OSError, UnicodeError, LookupError, csv.Error) as error:
            raise TaurusConfigError(f"{place}: {error}") from error
        entry = {
            "file": path,
            "delimiter": "tab" if delimiter == "\t" else delimiter,
            "quoted": quoted,
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
    with open(path, encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=delimiter), [])


def _guessed(path: str, encoding: str) -> str:
    with open(path, encoding=encoding, newline="") as file:
        head = file.read(4096)
    try:
        return guess_csv_dialect(head).delimiter
    except csv.Error:
        return ","


def _is_plain(encoding: str, delimiter: str) -> bool:
    """Whether encarno can read such a file itself."""
    is_utf8 = encoding.lower().replace("-", "").replace("_", "") in _UTF8
    return is_utf8 and len(delimiter) == 1 and delimiter.isascii() and delimiter not in '"\r\n'


def _copy(engine: Engine, path: str, encoding: str, delimiter: str, quoted: bool) -> str:
    """Copies the rows in UTF-8, with commas between their fields. Returns the copy's path."""
    copy = private_artifact(engine, "encarno_data", ".csv")
    with (
        open(path, encoding=encoding, newline="") as old,
        open(copy, "w", encoding="utf-8", newline="") as new,
    ):
        rows = (row for row in _rows(old, delimiter, quoted) if row)
        csv.writer(new, lineterminator="\n").writerows(rows)
    return copy


def _rows(lines: Iterable[str], delimiter: str, quoted: bool) -> Iterator[list[str]]:
    if len(delimiter) == 1:
        quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        yield from csv.reader(lines, delimiter=delimiter, quoting=quoting)
        return
    for line in lines:
        fields = line.rstrip("\r\n").split(delimiter)
        if fields != [""]:
            yield [_unquoted(field) if quoted else field for field in fields]


def _unquoted(field: str) -> str:
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field
