"""Runs commands of hg, each in a process of its own, without the time that it
takes to start hg: a process that has loaded hg forks for each.

The children load their extensions themselves, begin and end as hg does, and
have no part of uilog before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

SERVER = r"""
import json
import os
import signal
import sys

import hgdemandimport

hgdemandimport.enable()
from mercurial import commands, dispatch, extensions, hg, localrepo, pycompat

for module in (commands, dispatch, extensions, hg, localrepo):
    module.__doc__
while True:
    line = sys.stdin.readline()
    if not line:
        break
    request = json.loads(line)
    if 'wait' in request:
        answer = os.waitpid(request['wait'], 0)[1]
    else:
        answer = os.fork()
        if answer == 0:
            os.chdir(request['cwd'])
            signal.signal(signal.SIGINT, signal.default_int_handler)
            null = os.open(os.devnull, os.O_RDWR)
            out = os.open(request['out'], os.O_WRONLY)
            for fd, number in ((null, 0), (out, 1), (null, 2)):
                os.dup2(fd, number)
            args = request['args']
            sys.argv = ['hg', *args]
            pycompat.sysargv[:] = [os.fsencode(arg) for arg in sys.argv]
            dispatch.run()
    print(json.dumps(answer), flush=True)
"""


class ForkingHg:
    """The process that forks."""

    def __init__(self, env: dict[str, str], cwd: Path) -> None:
        hg = shutil.which("hg", path=env["PATH"])
        assert hg is not None
        python = Path(hg).parent / "python"
        self._cwd = cwd
        self._process = subprocess.Popen(
            (python, "-c", SERVER),
            env={**env, "HG": hg},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> ForkingHg:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any]) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer: int = json.loads(stdout.readline())
        return answer

    def start(self, *args: str, out: str = os.devnull) -> int:
        """Starts a command; its process."""
        return self._ask({"args": args, "out": out, "cwd": str(self._cwd)})

    def wait(self, pid: int) -> int:
        """How a command has ended, as a shell tells it."""
        return os.waitstatus_to_exitcode(self._ask({"wait": pid}))
