# trace.py - what a command's children are told of its place in a trace
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the environment variable TRACEPARENT while a command runs

Only where there are structured sinks, which tell of the command: otherwise
the command's children stay a part of whatever hg is a part of.
"""

from __future__ import annotations

import os

from mercurial import encoding, util

from . import _native, peers

# W3C Trace Context, as programs hand it on.
VARIABLE = b'TRACEPARENT'

# What the variable said before, by the depth of the command that changed it:
# in this process, for a child has another environment's if it is chg's.
_before = {}
_owner = os.getpid()


def begin(logger):
    """tell that a command begins: its hooks are a part of it"""
    depth = _depth()
    _disown()
    _restore(depth)
    traceparent = logger.begin_command(depth, util.version)
    if traceparent is not None:
        _before[depth] = encoding.environ.get(VARIABLE)
        encoding.environ[VARIABLE] = traceparent


def finishing(logger):
    """make sure that a command that ends has begun

    One that was aborted before it could say what it is has not.
    """
    _disown()
    if logger.tells_traces and _depth() not in _before:
        begin(logger)


def end():
    """tell that a command has ended"""
    if _before:
        depth = _depth()
        _native.end_command(depth)
        _restore(depth)


def _disown():
    """forget what commands of another process have changed"""
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        _before.clear()


def _depth():
    return max(1, peers.depth())


def _restore(depth):
    """undo what commands at this depth, and deeper ones, have changed"""
    for changed in sorted(_before, reverse=True):
        if changed >= depth:
            value = _before.pop(changed)
            if value is None:
                encoding.environ.pop(VARIABLE, None)
            else:
                encoding.environ[VARIABLE] = value
