"""Figures as Markdown, and their place in bench/README.md."""

import os
import platform
import re
import statistics
import subprocess

from processes import ROOT, Failure


def show(values):
    """A median with three digits, and the spread behind it."""
    least, middle, most = (digits(value) for value in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 or least == most else f"{middle} ({least}–{most})"


def digits(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(heads, rows):
    return [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
    ]


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    name = model[1] if model else platform.processor()
    return f"Machine: {os.cpu_count()} cores, {name}, Linux {platform.release().split('-')[0]}"


def first_line(*command):
    """What a program says of itself."""
    output = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return (output.stdout + output.stderr).strip().splitlines()[0]


def write(part, text):
    """Puts the tables of a part between its marks in bench/README.md."""
    begin, end = f"<!-- {part}: written by bench/", f"<!-- {part}: end -->"
    readme = os.path.join(ROOT, "bench/README.md")
    with open(readme) as file:
        before, found_begin, rest = file.read().partition(begin)
    mark, _, rest = rest.partition("\n")
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise Failure(f"{readme} lacks the marks {begin}… and {end}")
    with open(readme, "w") as file:
        file.write(f"{before}{begin}{mark}\n{text}\n{end}{after}")
