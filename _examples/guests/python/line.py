"""A nib in Python: a record is a line, and so is its answer. `protocol.py` has its connections.

    componentize-py -d wit/nib -w nib componentize -p _examples/guests/python line -o line.wasm
"""

from wit_world import exports
from wit_world.imports import types


class Protocol(exports.Protocol):
    def configure(self, settings: str) -> types.Traits:
        return types.Traits(
            name="line",
            streams=16,
            starts_itself=True,
            sees_payload=False,
            need=types.Need_Until(b"\n"),
        )

    def prepare(self, entry: bytes) -> bytes:
        return entry.rstrip(b"\r\n") + b"\n"
