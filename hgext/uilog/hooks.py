# hooks.py - what a hook's verdict was
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""options of `exthook` and `pythonhook`, and the event `hookrefused`

hg logs a hook when its verdict is known, but does not log the verdict. It is
in the variables of the function that logs the hook.

Must not know sinks or spans.
"""

from __future__ import annotations

import sys
import threading
import types

from . import errors, part, tryto

REFUSED = b'hookrefused'

# hg: hook.py
MODULE = 'mercurial.hook'

# Maximum number of functions in between: wrappers of ui.log.
_MAX_BETWEEN = 12

# For each thread, the exception of the Python hook that is being logged.
_raised: dict = {}


def setup():
    part('trace').watchrefusals()


def note(exc):
    """store the exception of a hook that hg ignores"""
    _raised[threading.get_ident()] = (errors.typename(exc), errors.message(exc))


def ofshell(opts):
    """options of a hook that is a program"""
    variables = _variables('_exthook')
    if variables is None or 'r' not in variables:
        return {}
    status = variables['r']
    options = _common(variables, variables['name'], variables['htype'])
    if isinstance(status, int):
        # A negative one is a signal.
        options['signal' if status < 0 else 'exit_code'] = abs(status)
    options['vetoed'] = bool(status and variables['throw'])
    return options


def ofpython(opts):
    """options of a hook that is a function"""
    raised = _raised.pop(threading.get_ident(), None)
    variables = _variables('pythonhook')
    if variables is None:
        return {}
    options = _common(variables, variables['hname'], variables['htype'])
    if 'r' in variables:
        result = variables['r']
        options['result'] = _plain(result)
        options['vetoed'] = bool(_istrue(result) and variables['throw'])
        return options
    isfatal = raised is None
    if isfatal:
        exc = sys.exc_info()[1]
        raised = (errors.typename(exc), errors.message(exc))
    options['exception_type'], options['exception_message'] = raised
    options['vetoed'] = isfatal
    return options


def _common(found, name, hooktype):
    options = {'hook': name, 'hooktype': hooktype}
    if 'duration' in found:
        options['duration'] = found['duration']
    source = found['ui'].configsource(b'hooks', name)
    if source:
        options['source'] = source
    return options


def _variables(function):
    """the variables of the function of hg's that logs an event"""
    frame: types.FrameType | None = sys._getframe(2)
    for _count in range(_MAX_BETWEEN):
        if frame is None:
            return None
        if (
            frame.f_code.co_name == function
            and frame.f_globals.get('__name__') == MODULE
        ):
            return frame.f_locals
        frame = frame.f_back
    return None


def _plain(result):
    """a function's result, or its type, since printing may take for ever"""
    if result is None or type(result) in (bool, int, float):
        return result
    return type(result).__name__


def _istrue(result):
    try:
        return bool(result)
    except Exception:
        # hg fails of this.
        return True


def run(orig, /, *args, **kwargs):
    """run hooks, some of which may refuse without an event of hg's"""
    try:
        results = orig(*args, **kwargs)
    except BaseException as exc:
        tryto(_tellraised, exc, *args)
        raise
    tryto(_tellpassedover, *args)
    return results


def _tellpassedover(ui, repo, htype, hooks, *args):
    """log hooks about which hg has only warned"""
    for name, command in hooks:
        if _isuntrusted(command):
            _tell(ui, name, htype, 'untrusted', False)


def _isuntrusted(command):
    untrusted = getattr(sys.modules.get(MODULE), '_fromuntrusted', None)
    return untrusted is not None and command is untrusted


def _tellraised(exc, ui, repo, htype, *args):
    """log a hook that has raised before hg logged it"""
    frames = []
    tb = exc.__traceback__
    while tb is not None:
        if tb.tb_frame.f_globals.get('__name__') == MODULE:
            frames.append(tb.tb_frame)
        tb = tb.tb_next
    names = [frame.f_code.co_name for frame in frames]
    if 'runhooks' not in names:
        return
    at = names.index('runhooks')
    found = frames[at].f_locals
    name = found.get('hname')
    if name is None:
        return
    if _isuntrusted(found.get('cmd')):
        _tell(ui, name, htype, 'untrusted', True)
        return
    inner = frames[at + 1] if at + 1 < len(frames) else None
    variables = inner.f_locals if inner is not None else {}
    if 'duration' in variables:
        # It has been logged.
        return
    if not isinstance(exc, Exception):
        reason = 'interrupted'
    elif inner is not None and inner.f_code.co_name == '_exthook':
        reason = 'not-started'
    else:
        reason = 'not-loaded'
    _tell(ui, name, htype, reason, True, exc)


def _tell(ui, name, htype, reason, vetoed, exc=None):
    options = {
        'hook': name,
        'hooktype': htype,
        'reason': reason,
        'vetoed': vetoed,
        'source': ui.configsource(b'hooks', name),
    }
    if exc is not None:
        options['exception_type'] = errors.typename(exc)
        options['exception_message'] = errors.message(exc)
    message = b'hook %s has not run: %s\n'
    ui.log(REFUSED, message, name, reason.encode(), **options)
