"""A service for trying a test: `encarno target` answers its hits."""

import os
import select
import subprocess

from bzt import ToolError
from bzt.engine import HavingInstallableTools, Service

from .surroundings import prepare_surroundings
from .tool import EncarnoTool, path_of
from .variables import plain, text_of

_START_S_MAX = 10.0
# The keys that are no options of the target.
_OF_TAURUS = ("module", "listen", "run-at")


class EncarnoTarget(Service, HavingInstallableTools):
    """services: [{module: encarno-target, listen: 127.0.0.1:8070, delay: exponential:5ms}]

    The other keys are options of `encarno target`."""

    def __init__(self) -> None:
        super().__init__()
        self.process: subprocess.Popen | None = None
        self.tool: EncarnoTool | None = None

    def install_required_tools(self) -> None:
        self.tool = EncarnoTool(config=path_of(self.engine), log=self.log)
        if not self.tool.check_if_installed():
            self.tool.install()

    def prepare(self) -> None:
        super().prepare()
        prepare_surroundings()
        self.install_required_tools()
        listen = str(self.parameters.get("listen", "127.0.0.1:8070"))
        command = [self.tool.tool_path, "target", listen]
        for name, value in plain(self.parameters).items():
            if name not in _OF_TAURUS and value is not False:
                command.append(f"--{name}" if value is True else f"--{name}={text_of(value)}")
        # The target ends when Taurus is gone, even if it was killed.
        command += ["--parent", str(os.getpid())]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        select.select([self.process.stdout], [], [], _START_S_MAX)
        if self.process.poll() is not None:
            said = self.process.stderr.read().decode(errors="replace").strip()
            raise ToolError(f"encarno target doesn't start: {said}")
        self.log.info("%s", self.process.stdout.readline().decode(errors="replace").strip())

    def post_process(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
