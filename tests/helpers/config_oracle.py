"""Runs hg commands without starting Python for each.

A process start costs a hundred times what `hg config` does. So this one
imports Mercurial once and forks; the child runs the commands of some requests,
each with what a new hg would have: arguments, environment, working directory,
descriptors. config_parity.py compares it with real ones.

Requests and answers are pickles on stdin and stdout.

usage: config_oracle.py REQUESTS
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import tempfile
import traceback
from typing import Any, BinaryIO

from mercurial import (
    # What hg would import by and by is to be there before the fork.
    cmdutil,  # noqa: F401
    commands,  # noqa: F401
    dispatch,
    encoding,
    localrepo,  # noqa: F401
    pycompat,
)

try:
    from mercurial.main_script import request as dispatch_request
except ImportError:
    from mercurial.dispatch import request as dispatch_request

ENCODINGS = encoding.encoding, encoding.fallbackencoding

Result = tuple[int, bytes, bytes]


def run(program: bytes, args: list[bytes]) -> int:
    """Is hg, as dispatch.run() is; returns its exit status."""
    argv = [program, *args]
    sys.argv = [os.fsdecode(arg) for arg in argv]
    pycompat.sysargv = argv
    try:
        return int(dispatch.dispatch(dispatch_request(argv[1:]))) & 255
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def answer(request: dict[str, Any], streams: list[BinaryIO]) -> list[Result]:
    """Runs the commands of a request."""
    os.environ.clear()
    os.environb.update(request["env"])
    os.chdir(request["cwd"])
    # What a command may have changed.
    encoding.encoding, encoding.fallbackencoding = ENCODINGS
    results = []
    for args in request["commands"]:
        for stream in streams:
            stream.seek(0)
            stream.truncate()
        status = run(request["program"], args)
        texts = []
        for stream in streams:
            stream.seek(0)
            texts.append(stream.read())
        results.append((status, *texts))
    return results


def main(number: str) -> None:
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # They stay open to the end.
    streams = [
        tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        for _ in range(2)
    ]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(streams[0].fileno(), 1)
    os.dup2(streams[1].fileno(), 2)
    # What is shared with the children is not to be copied for counting.
    gc.collect()
    gc.freeze()
    while True:
        pid = os.fork()
        if not pid:
            try:
                dispatch.initstdio()
                for _ in range(int(number)):
                    request = pickle.load(requests)
                    pickle.dump(answer(request, streams), answers)
                    answers.flush()
                os._exit(0)
            except EOFError:
                os._exit(1)
            finally:
                os._exit(2)
        if os.waitpid(pid, 0)[1]:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
