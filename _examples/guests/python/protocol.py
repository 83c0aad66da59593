"""The connections of the nib in `line.py`."""

from wit_world.exports import protocol
from wit_world.imports import types


class Connection(protocol.Connection):
    def __init__(self, worker: int) -> None:
        pass

    def opened(self, now_ns: int) -> types.Turn:
        return types.Turn_More()

    def start(self, hit: int, prepared: bytes) -> types.Turn:
        return types.Turn_More()

    def data(self, bytes: bytes) -> types.Turn:
        if bytes.startswith(b"error"):
            return types.Turn_Failed("the server says error")
        return types.Turn_Done(200)

    def woken(self, now_ns: int) -> types.Turn:
        return types.Turn_More()

    def closed(self) -> types.Turn:
        return types.Turn_More()
