"""Writes the payload file: each record is a line of JSON with metadata, then its bytes."""

import json
from collections.abc import Iterable

from .scenario import Record


def write_payload(path: str, records: Iterable[Record]) -> int:
    """Writes the records one by one, in constant memory, and returns their number."""
    count = 0
    with open(path, "wb", buffering=1 << 20) as out:
        for record in records:
            metadata = {"plen": len(record)} | record.metadata
            out.write(json.dumps(metadata, ensure_ascii=False).encode())
            out.write(b"\n")
            out.write(record.head)
            record.body.write(out)
            out.write(b"\n")
            count += 1
    return count
