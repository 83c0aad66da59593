"""Figures as Markdown, and their place in bench/README.md."""

import datetime
import os
import platform
import re
import statistics
import subprocess
import sys

from processes import ROOT, Failure, path


def show(values):
    """A median with three digits, and its spread."""
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


def in_turns(todo, rounds):
    """Measures every point, `rounds` times: {point: {figure: [values]}}."""
    points = {key: {} for key in todo}
    for number in range(rounds):
        for key, point in todo.items():
            progress = f"round {number + 1} of {rounds}: {' '.join(map(str, key))}"
            print(progress, file=sys.stderr, flush=True)
            try:
                found = point()
            except Failure as failure:
                raise Failure(f"{progress}: {failure}") from None
            for figure, value in found.items():
                points[key].setdefault(figure, []).append(value)
    return points


def ratios(ours, theirs):
    """Two series, round by round."""
    return [our / their for our, their in zip(ours, theirs)]


def heading(program, rounds):
    """The date, the machine and the versions of the figures below."""
    k6 = re.search(r"v[0-9.]+", first_line(path("k6"), "version"))[0]
    nats = re.search(r"v[0-9.]+", first_line(path("bin/nats-server"), "--version"))[0]
    nginx = re.search(r"[0-9.]+", first_line("nginx", "-v"))[0]
    go = first_line("go", "env", "GOVERSION").removeprefix("go")
    rust = first_line("rustc", "--version").split()[1]
    return [
        f"Measured on {datetime.date.today()} by `{program}`, {rounds} round{'s' if rounds > 1 else ''} in turns: "
        "the median, and from the least to the most.",
        f"{machine()}.",
        f"k6 {k6}, nats-server {nats}, nginx {nginx}, Rust {rust}, Go {go}.",
    ]


def first_line(*command):
    """The first line that a program prints."""
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
