"""A real run of bzt, and what it says beside what `encarno stats` says."""

import contextlib
import csv
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import yaml

TAURUS = Path(__file__).resolve().parents[1]
# Far more than it takes: other work may share the machine.
SECONDS_MAX = 240
QUANTILES = ("p50", "p90", "p95", "p99", "p99.9")


class Bzt:
    """bzt in a folder of its own, without a network."""

    def __init__(
        self,
        folder: Path,
        tool: str,
        config: dict,
        options: tuple[str, ...] = (),
        terminal: bool = False,
    ) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self._tool = tool
        path = folder / "config.yml"
        own = {
            "settings": {
                "check-updates": False,
                "check-interval": "500ms",
                "artifacts-dir": str(self.artifacts),
            },
            "modules": {"console": {"disable": not terminal}, "encarno": {"path": tool}},
            "reporting": [
                {
                    "module": "final-stats",
                    "dump-csv": str(folder / "stats.csv"),
                    "dump-xml": str(folder / "stats.xml"),
                }
            ],
        }
        path.write_text(yaml.safe_dump(own | config), encoding="utf-8")
        self.log = folder / "bzt.out"
        command = [
            str(Path(sys.executable).parent / "bzt"),
            str(TAURUS / "encarno-module.yml"),
            str(path),
            *options,
        ]
        environment = os.environ | {"PYTHONPATH": str(TAURUS), "HOME": str(folder)}
        with open(self.log, "wb") as out:
            ours, theirs = _terminal() if terminal else (None, None)
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment | {"TERM": "xterm"},
                stdin=theirs,
                stdout=theirs or out,
                stderr=subprocess.STDOUT,
                # A shell's children in the background ignore SIGINT, and so would bzt.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        if terminal:
            os.close(theirs)
            threading.Thread(target=_copy, args=(ours, self.log), daemon=True).start()

    def wait(self) -> int:
        try:
            return self.process.wait(SECONDS_MAX)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def rows(self) -> dict[str, dict]:
        """Taurus's final statistics by label."""
        with open(self.folder / "stats.csv", encoding="utf-8", newline="") as file:
            return {row["label"]: row for row in csv.DictReader(file)}

    def totals(self) -> dict[str, str]:
        """Taurus's figures of all hits, from the XML."""
        groups = ElementTree.parse(self.folder / "stats.xml").iter("Group")
        total = next(group for group in groups if group.get("label") == "")
        return {kpi.findtext("name"): kpi.findtext("value") for kpi in total}

    def stats(self) -> dict[str, dict]:
        """`encarno stats` of all executions by label; their labels differ."""
        labels = {}
        for file in sorted(self.artifacts.glob("*.enc")):
            command = [self._tool, "stats", "--json", str(file)]
            stats = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            assert stats["whole"], file
            for label in stats["labels"]:
                assert label["label"] not in labels
                labels[label["label"]] = label
        return labels

    def compare(self) -> None:
        """Both say the same, label by label."""
        rows, stats = self.rows(), self.stats()
        total = rows.pop("")
        assert rows.keys() == stats.keys()
        for label, row in rows.items():
            same(row, stats[label])
        assert int(total["throughput"]) == sum(label["hits"] for label in stats.values())
        assert int(total["fail"]) == sum(label["failed"] for label in stats.values())


def _terminal() -> tuple[int, int]:
    """Both ends of a terminal of a usual size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    return ours, theirs


def _copy(terminal: int, log: Path) -> None:
    """What is shown, until nobody has the terminal open any more."""
    with open(log, "wb", buffering=0) as out, contextlib.suppress(OSError):
        while chunk := os.read(terminal, 1 << 16):
            out.write(chunk)


def same(row: dict, stats: dict) -> None:
    label = stats["label"]
    assert int(row["throughput"]) == stats["hits"], label
    assert int(row["fail"]) == stats["failed"], label
    assert int(row["succ"]) == stats["hits"] - stats["failed"], label
    assert int(row["bytes"]) == stats["received_bytes"], label
    # An answer's own code. Without one it is 0, or 999 if there was no answer.
    told = Counter({key[3:]: int(n or 0) for key, n in row.items() if key.startswith("rc_")})
    told["0"] += told.pop("999", 0)
    assert +told == +Counter(stats["protocol_codes"]), label
    response = stats["response_ns"]
    assert abs(float(row["avg_rt"]) - response["mean"] / 1e9) <= 1e-5, label
    quantiles = {f"perc_{float(name[1:])}": response[name] for name in QUANTILES}
    quantiles |= {"perc_0.0": response["min"], "perc_100.0": response["max"]}
    for name, value in quantiles.items():
        # Taurus counts in ms, with three digits.
        assert abs(float(row[name]) - value / 1e9) <= 0.001 + value / 1e9 * 0.002, (label, name)


def free_port() -> int:
    """Where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
