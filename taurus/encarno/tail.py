"""Follows the results of a run with `encarno tail`, which prints lines of JSON."""

import json
import os
import select
import subprocess
import time
from logging import Logger
from pathlib import Path

from bzt import ToolError

_READ_BYTES = 1 << 20
# How long the last lines may take. They arrive at once when the run has ended.
_END_SECONDS_MAX = 60.0


class Tail:
    """Reads the output of `encarno tail` without waiting for it."""

    def __init__(self, log: Logger, kind: str) -> None:
        self.log = log
        self.hits = 0
        self._kind = kind
        self._process: subprocess.Popen | None = None
        self._errors = ""
        self._partial = b""
        self._ended = False

    def take(self, line: dict) -> None:
        """Takes a line that arrived."""
        raise NotImplementedError

    def follow(self, tool: str, results: str, pid: int, errors: str) -> None:
        """Starts to follow the results of a process."""
        self._errors = errors
        command = [tool, "tail", results, "--format", self._kind, "--pid", str(pid)]
        with open(errors, "wb") as stderr:
            # The tail has its own session, because Ctrl-C is for Taurus. The tail ends with the
            # run, or with the pipe's reader.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        os.set_blocking(self._process.stdout.fileno(), False)

    def receive(self) -> None:
        """Takes the lines that have arrived."""
        while self._process is not None and not self._ended:
            try:
                chunk = os.read(self._process.stdout.fileno(), _READ_BYTES)
            except BlockingIOError:
                return
            self._ended = not chunk
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            for line in lines:
                self.take(json.loads(line))

    def finish(self) -> None:
        """Reads the rest of the results after the run's end."""
        if self._process is None:
            return
        deadline = time.monotonic() + _END_SECONDS_MAX
        while not self._ended:
            wait = deadline - time.monotonic()
            if wait <= 0:
                self.log.warning("the last results didn't come within %d s", _END_SECONDS_MAX)
                break
            select.select([self._process.stdout], [], [], wait)
            self.receive()
        if self._process.poll() is None:
            if not self._ended:
                self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()
        code, self._process = self._process.returncode, None
        said = Path(self._errors).read_text(encoding="utf-8", errors="replace").strip()
        if code:
            raise ToolError(f"the results can't be followed: {said or code}")
        if said:
            self.log.warning("%s", said)
