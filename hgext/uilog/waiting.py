# waiting.py - waits of a command for a person
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the event `userwait`, and what waiting adds to `commandfinish`

An editor, a prompt, a merge tool: hg calls it a blocked section, and knows only
how long all of them took. Each gets an event here, at its end. A pager is a
wait twice: while hg writes and the pager accepts no more, and, when the command
has ended, until the user leaves it.

hg cannot see questions that ssh asks on the terminal.
"""

from __future__ import annotations

import os
import threading

from mercurial import util

from . import events, tryto

EVENT = b'userwait'

STDIO = b'stdio_blocked'

# The kind of a wait, by the name of hg's section.
KINDS = {
    b'editor': b'editor',
    b'config_edit': b'editor',
    b'filterpatch': b'editor',
    b'stdio': b'prompt',
    b'mergetool': b'merge-tool',
    b'crecord': b'interface',
    b'histedit': b'interface',
    b'extdiff': b'diff-tool',
    b'hgk_view': b'diff-tool',
}
PAGER = b'pager'

# Minimum number of seconds for which the end of a pager counts as a wait.
_MIN_WAIT = 0.001

# Maximum number of separate waits; of further ones only the sum is known.
_MAX_WAITS = 1000

# For each thread of this process, the end and duration of each wait.
_waits: dict = {}
_owner = os.getpid()

# The pager of this process, since when it runs, and what hg had waited for its
# standard streams before.
_pager: tuple | None = None


class section:
    """a section in which hg waits for a person"""

    def __init__(self, ui, key, inner):
        self._ui = ui
        self._kind = KINDS[key]
        self._inner = inner

    def __enter__(self):
        self._began = util.timer()
        return self._inner.__enter__()

    def __exit__(self, exctype, exc, tb):
        try:
            return self._inner.__exit__(exctype, exc, tb)
        finally:
            tryto(self._end, exctype)

    def _end(self, exctype):
        waited = util.timer() - self._began
        _note(waited)
        outcome = b'done'
        if exctype is not None:
            isinterrupt = not issubclass(exctype, Exception)
            outcome = b'interrupted' if isinterrupt else b'failed'
        _tell(self._ui, self._kind, waited, duration=waited, outcome=outcome)


def timed(orig, ui, key, /, *args, **kwargs):
    """a section in which hg waits for a program; that may be a person"""
    inner = orig(ui, key, *args, **kwargs)
    return section(ui, key, inner) if key in KINDS else inner


def _note(waited):
    waits = _own().setdefault(threading.get_ident(), [])
    waits.append((util.timer(), waited))
    if len(waits) > _MAX_WAITS:
        first, second = waits[:2]
        waits[:2] = [(second[0], first[1] + second[1])]


def _own():
    global _owner, _pager
    if _owner != os.getpid():
        # Waits of the process from which this one was forked do not count.
        _owner = os.getpid()
        _waits.clear()
        _pager = None
    return _waits


def _tell(ui, kind, seconds, /, **opts):
    ui.log(
        EVENT,
        b'waited %0.2f seconds for the user (%s)\n',
        seconds,
        kind,
        kind=kind,
        **opts,
    )


def ofcommand(opts):
    """options of a command's end: how long it has waited"""
    duration = opts.get('duration', 0.0)
    began = util.timer() - duration
    ident = threading.get_ident()
    waits = _own().get(ident, ())
    if not waits and _pager is None:
        return {}
    waited = sum(length for ended, length in waits if ended >= began)
    if _pager is not None:
        waited += _blocked(_pager[0]) - _pager[2]
    if events.depth() == 0:
        _waits.pop(ident, None)
    # The two clocks may differ, so the difference may be negative.
    return {'waited_for_user': min(waited, duration)}


def _blocked(ui):
    """seconds that hg has waited for its standard streams, without prompts"""
    prompts = sum(
        length for waits in _own().values() for _ended, length in waits
    )
    return max(ui._blockedtimes.get(STDIO, 0) / 1000 - prompts, 0.0)


def pagerbegan(ui):
    """log a pager that hg has started, when it ends"""
    global _pager
    _own()
    if _pager is not None:
        return
    _pager = (ui, util.timer(), _blocked(ui))
    ends = []
    # hg: the handlers run in reverse, and the pager's waits for its end
    ui.atexit(lambda: ends.append(util.timer()))
    ui._exithandlers.insert(0, (lambda: tryto(_pagerended, ends), (), {}))


def _pagerended(ends):
    global _pager
    pager, _pager = _pager, None
    if pager is None or not ends:
        return
    ui, began, before = pager
    now = util.timer()
    waited = max(_blocked(ui) - before, 0.0) + now - ends[0]
    if waited >= _MIN_WAIT:
        _tell(ui, PAGER, waited, duration=now - began, waited=waited)
