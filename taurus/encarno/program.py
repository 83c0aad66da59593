"""Where the program may be: in this package, on the PATH, or in the repository."""

import os
import shutil
from pathlib import Path

# A wheel brings the program with it.
BUNDLED = Path(__file__).resolve().parent / "bin" / "encarno"
REPOSITORY = Path(__file__).resolve().parents[2]


def found() -> str:
    """The first of them that is there, or where the repository would have it."""
    if BUNDLED.is_file():
        return str(BUNDLED)
    return shutil.which("encarno") or str(in_repository())


def in_repository() -> Path:
    """Where the repository has it once it is built."""
    target = os.environ.get("CARGO_TARGET_DIR")
    return (REPOSITORY / target if target else REPOSITORY / "target") / "release/encarno"
