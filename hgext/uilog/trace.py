# trace.py - the trace context that a command's child processes inherit
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the spans of commands and hooks, and the environment variable TRACEPARENT

Without structured sinks TRACEPARENT is left unchanged.

The native module knows which command or hook each thread is in. This module
sets the process's environment, which is the main thread's. Programs that
another thread starts through hg get a separate environment.
"""

from __future__ import annotations

import functools
import os
import threading

from mercurial import encoding, ui as uimod, util

from . import (
    LOGGER,
    _native,
    dispatchframes,
    events,
    findmodule,
    loaded,
    part,
    whenloaded,
    wrap,
)

# W3C Trace Context, which child processes inherit.
VARIABLE = b'TRACEPARENT'
# Belongs to the same trace.
STATE = b'TRACESTATE'

# The trace ID within the variable's value.
ID = slice(3, 35)

# The values of the variables before each change, the outermost first.
_before: list = []

# How many of these must remain when a command of the main thread ends, and
# when it is left: for each that has been entered.
_entered: list = [(0, 0)]

# Whether hooks that refuse are logged.
_watchesrefusals = False

# Whether os.execv and os.execve are wrapped.
_haswrappedexec = False

# The process with that environment: a forked child of chg's server has another.
_owner = os.getpid()


def setup():
    wrap('shell aliases', (uimod.ui, 'system', _system))
    hook = findmodule('hooks', 'hook')
    if hook is not None:
        whenloaded('hooks', hook, _wraphooks)


def _wraphooks(module):
    wrap('shell hooks', (module, '_exthook', _exthook))
    wrap('Python hooks', (module, 'pythonhook', _pythonhook))


def begin(native):
    """begin the span of a command, if it has not begun, for its hooks"""
    _disown()
    _beginspan(native, True)


def end():
    """note that a command has ended"""
    if _before and _ownsenviron():
        _restore(_entered[-1][0])


def enter(isserved):
    """note that a command will run within another, or within a server"""
    _disown()
    _native.enter_command(isserved)
    if _ownsenviron():
        atleave = len(_before)
        if isserved and _before:
            # The server's own span is not the client's parent.
            _before.append(_get())
            _set(_before[0])
        _entered.append((len(_before), atleave))


def leave():
    """note that the command that was entered last has ended"""
    _native.leave_command()
    if _ownsenviron() and len(_entered) > 1:
        _restore(_entered.pop()[1])


def _disown():
    """forget changes by commands of another process"""
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        _before.clear()
        _entered[:] = [(0, 0)]


def _ownsenviron():
    return threading.current_thread() is threading.main_thread()


def _beginspan(native, isnew):
    isowner = _ownsenviron()
    _tell(native.begin_span(util.version, isowner, isnew), isowner)


def _tell(traceparent, isowner):
    if traceparent is not None and isowner:
        before = _get()
        _before.append(before)
        state = before[1] if _issametrace(before[0], traceparent) else None
        _set((traceparent, state))


def _issametrace(before, traceparent):
    return before is not None and before[ID] == traceparent[ID]


def _restore(count):
    """undo all changes of the environment but the first ones"""
    while len(_before) > count:
        _set(_before.pop())


def _get():
    return encoding.environ.get(VARIABLE), encoding.environ.get(STATE)


def _set(values):
    for name, value in zip((VARIABLE, STATE), values):
        # An unchanged variable costs no system call.
        if encoding.environ.get(name) == value:
            continue
        if value is None:
            encoding.environ.pop(name, None)
        else:
            encoding.environ[name] = value


def _tracing(ui):
    """the logger of a ui with structured sinks, if it has one"""
    native = ui._loggers.get(LOGGER)
    return native if native is not None and native.tells_traces else None


def _exthook(orig, ui, *args, **kwargs):
    return _runhook(orig, ui, False, args, kwargs)


def _pythonhook(orig, ui, *args, **kwargs):
    return _runhook(orig, ui, True, args, kwargs)


def _runhook(orig, ui, ispython, args, kwargs):
    count = None
    try:
        native = _tracing(ui)
        if native is not None:
            # An alias for a shell command has not begun yet.
            _beginspan(native, False)
            count = len(_before)
            isowner = _ownsenviron()
            _tell(native.begin_hook(ispython, isowner), isowner)
            # hg: the repository, the hook's type, its name, and others
            _native.begin_phase(b'hook', {'hook': b''.join(args[2:3])})
    except Exception as err:
        _native.internal_fault(err)
    if count is None:
        return orig(ui, *args, **kwargs)
    try:
        return orig(ui, *args, **kwargs)
    finally:
        _native.end_phase()
        _native.end_hook()
        if _ownsenviron():
            _restore(count)


def _system(orig, ui, *args, **kwargs):
    phase = None
    try:
        native = _tracing(ui)
        if native is not None:
            phase = _phase(kwargs.get('blockedtag'))
            # As with hooks.
            _beginspan(native, False)
            if not _ownsenviron():
                args, kwargs = _withcontext(args, kwargs)
    except Exception as err:
        _native.internal_fault(err)
    if phase is None:
        return orig(ui, *args, **kwargs)
    _native.begin_phase(phase, {})
    try:
        return orig(ui, *args, **kwargs)
    finally:
        _native.end_phase()


def _phase(tag):
    """the phase of a command that waits for a program with this tag"""
    if tag in (b'editor', b'mergetool'):
        return tag
    # A hook reports that itself.
    ishook = tag is not None and tag.startswith(b'exthook-')
    return None if ishook else b'program'


def _withcontext(args, kwargs):
    """arguments of ui.system that pass the parent span to a program"""
    context = _native.current_traceparent()
    if context is None:
        return args, kwargs
    # hg: the command, environ, and others
    variables = args[1] if len(args) > 1 else kwargs.get('environ')
    environ = dict(variables or {})
    environ.setdefault(VARIABLE, context)
    if not _issametrace(encoding.environ.get(VARIABLE), context):
        # A variable of hg cannot be unset here, only be empty.
        environ.setdefault(STATE, b'')
    if len(args) > 1:
        return (args[0], environ, *args[2:]), kwargs
    return args, {**kwargs, 'environ': environ}


def notecommand(native, msgfmt, msgargs):
    """store what others must log if this command never ends"""
    _wrapexec()
    native.note_command(msgfmt % msgargs, _canonical(), events.depth())


def _canonical():
    """the full name of the command that has just begun, or None"""
    for frame in dispatchframes():
        # hg: dispatch.request, an argument of all callers
        name = getattr(frame.f_locals.get('req'), 'canonical_command', None)
        if isinstance(name, bytes):
            return name
    return None


def _wrapexec():
    """note when this process executes another program

    All other functions that do so call one of these two.
    """
    global _haswrappedexec
    if not _haswrappedexec:
        for name in ('execv', 'execve'):
            setattr(os, name, functools.partial(_exec, getattr(os, name)))
        _haswrappedexec = True


def _exec(orig, *args, **kwargs):
    _native.become_another(True)
    try:
        return orig(*args, **kwargs)
    finally:
        _native.become_another(False)


def tellhead():
    root = _native.command_root()
    checkout = loaded('checkout')
    if root is not None and checkout is not None:
        _native.set_head(root, *checkout.head(root))


def watchrefusals():
    """log hooks that refuse before hg logs them"""
    global _watchesrefusals
    hook = findmodule('refused hooks', 'hook')
    if hook is not None and not _watchesrefusals:
        _watchesrefusals = True
        whenloaded('refused hooks', hook, _surroundhooks)


def _surroundhooks(module):
    events.surround('refused hooks', module, 'runhooks', _runhooks)


def _runhooks(orig, /, *args, **kwargs):
    run = None
    # hg: the ui, the repository, the hooks' type, the hooks, and others
    if args[3:4] != ([],):
        try:
            run = part('hooks').run
        except Exception as err:
            _native.internal_fault(err)
    if run is None:
        return orig(*args, **kwargs)
    return run(orig, *args, **kwargs)
