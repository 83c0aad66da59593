"""Finds the program, or builds it from the sources beside this package."""

import errno
import os
import platform
import shutil
import subprocess

from bzt import ToolError
from bzt.engine import Engine
from bzt.utils import RequiredTool, get_full_path

from .program import REPOSITORY, found, in_repository
from .variables import plain

_BUILD_SECONDS_MAX = 3600


def path_of(engine: Engine, settings: dict | None = None) -> dict:
    """The path of the program in the settings: a module's own, or else encarno's."""
    modules = plain(engine.config).get("modules") or {}
    common = modules.get("encarno")
    common = common if isinstance(common, dict) else {}
    return {"path": plain(settings or {}).get("path") or common.get("path")}


class EncarnoTool(RequiredTool):
    """The program encarno: from the settings, this package, the PATH or the repository."""

    def __init__(self, config: dict | None = None, **kwargs) -> None:
        config = config or {}
        self._given = config.get("path")
        super().__init__(tool_path=self._find(), installable=False, **kwargs)
        self.tool_name = "encarno"

    def _find(self) -> str:
        if self._given:
            return get_full_path(str(self._given))
        return found()

    def check_if_installed(self) -> bool:
        if not os.path.isfile(self.tool_path):
            return False
        try:
            version = _output([self.tool_path, "--version"])
            # The Go tool of the same name doesn't have this command.
            follows = _output([self.tool_path, "tail", "--help"])
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{self.tool_path} --version doesn't end") from error
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                raise ToolError(
                    f"{self.tool_path} isn't a program for this machine ({platform.machine()})"
                ) from error
            raise ToolError(f"{self.tool_path} can't be run: {error.strerror}") from error
        if follows.returncode != 0:
            raise ToolError(
                f"{self.tool_path} isn't this package's encarno: it can't follow results "
                f"(encarno tail); it says: {(version.stdout + version.stderr).strip()[:200]}"
            )
        self.log.debug("%s is %s", self.tool_path, version.stdout.strip())
        return True

    def install(self) -> None:
        if self._given:
            raise ToolError(f"modules.encarno.path: there is no program {self.tool_path}")
        if not (REPOSITORY / "crates/encarno/Cargo.toml").is_file() or not shutil.which("cargo"):
            raise ToolError(
                "encarno is missing: put it on the PATH, or set its path with "
                "-o modules.encarno.path=…; `make` in its repository builds it"
            )
        self.log.warning("encarno isn't built yet: cargo builds it now, which takes minutes")
        command = ["cargo", "build", "--release", "-p", "encarno"]
        try:
            built = subprocess.run(
                command,
                cwd=REPOSITORY,
                timeout=_BUILD_SECONDS_MAX,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{' '.join(command)} takes more than an hour") from error
        self.tool_path = str(in_repository())
        if built.returncode != 0 or not self.check_if_installed():
            raise ToolError(f"{' '.join(command)} failed", [built.stderr[-4000:]])


def _output(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
