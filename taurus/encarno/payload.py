"""The payload file: metadata as a line of JSON, then the bytes."""

import json
from collections.abc import Iterable

from .scenario import Record


def write_payload(path: str, records: Iterable[Record]) -> int:
    """Writes records as they come: how many. Memory doesn't depend on it."""
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
