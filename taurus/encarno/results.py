"""Results for notebooks: a result file as a table of Arrow."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .program import found

if TYPE_CHECKING:
    import pyarrow


def read(file: str | os.PathLike, columns: list[str] | None = None) -> pyarrow.Table:
    """The hits of a result file, a row for each; `columns` names those that are wanted.

    `read("run.enc").to_pandas()` is a data frame. It needs pyarrow (`pip install pyarrow`).
    Times are in ns; docs/duckdb.md lists the columns.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("encarno.read needs pyarrow: pip install pyarrow") from error
    # The program names it if it isn't there.
    path = Path(file).absolute()
    with tempfile.TemporaryDirectory(prefix="encarno.") as folder:
        rows = Path(folder) / "hits.parquet"
        command = [found(), "convert", str(path), "--output", str(rows)]
        try:
            converted = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise OSError(
                f"{command[0]} can't be run: {error.strerror}; put encarno on the PATH"
            ) from error
        if converted.returncode != 0:
            raise ValueError(converted.stderr.strip() or f"{path} can't be read")
        return parquet.read_table(rows, columns=columns)
