# events.py - where an event goes
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""ui.log, as soon as there is anything to log

Passes each event to uilog's sinks, to other loggers, and to extensions that
have wrapped ui.log before. No failure of logging raises into the command.
"""

from __future__ import annotations

import atexit
import functools
import os
import types

from mercurial import ui as uimod, util

from . import (
    LOGGER,
    RUN_VARIABLE,
    STOCK,
    _native,
    _parts,
    find,
    findmodule,
    isincommand,
    late,
    loaded,
    part,
    sections,
    tryto,
    whenloaded,
)

_Logger = _native.Logger
# That of a ui for which nothing is to be logged.
_IdleLogger = types.SimpleNamespace

# The events about a whole command.
_WHOLE = (b'command', b'commandfinish')

# The parts that know more about an event than hg logs, and the functions that
# return it, as options; for a command's end, only parts that are loaded.
_TOLD_BY = {
    b'exthook': (('hooks', 'ofshell'),),
    b'pythonhook': (('hooks', 'ofpython'),),
    b'commandexception': (('errors', 'ofexception'),),
    b'commandfinish': (
        ('errors', 'ofcommand'),
        ('waiting', 'ofcommand'),
        ('work', 'ofcommand'),
    ),
}

# Nesting depth of commands that have begun with uilog switched off.
_offdepths: set = set()

# A logger that logs nothing, once there is one.
_nothing = None

# Whether the native module knows the command that has loaded it.
_hasentered = False


def setup():
    global _hasentered
    if not _hasentered and isincommand():
        _native.enter_outermost()
    _hasentered = True
    orig = surround('umask', util, 'setumask', _setumask)
    # When Python ends, it does not collect hg's util as early as other modules.
    # What can be reached from there, and for that time that is all of hg,
    # would be taken apart piece by piece, which costs 5 million instructions.
    if orig is not None:
        atexit.register(setattr, util, 'setumask', orig)


def _setumask(orig, *args, **kwargs):
    result = orig(*args, **kwargs)
    # hg: the umask is its only argument
    for mask in (*args, *kwargs.values())[:1]:
        tryto(_native.set_umask, mask)
    return result


def populate(ui, known=None):
    """give a ui the logger for its configuration

    `known` are the items of its two sections, if they have been read.
    """
    global _watched
    if _native.claim_command():
        # It is about this command, not about its child commands.
        os.environ.pop(RUN_VARIABLE, None)
    before = ui.getlogger(LOGGER)
    if known is None:
        known = ui.configitems(b'uilog'), ui.configitems(STOCK)
    items, scripts = known
    if _native.is_chg_server():
        items, scripts = part('brake').ofserver(ui, items, scripts)
    logger = _native.Logger(
        items,
        scripts,
        before.root if before is not None else None,
        [
            (event, ui.configsource(b'logtoprocess', event))
            for event, _script in scripts
        ],
    )
    if logger.tells_traces:
        tryto(part, 'trace')
        tryto(part, 'checkout')
    ui.setlogger(LOGGER, logger)
    ui._loggers.pop(STOCK, None)
    watched = items, scripts, loaded('blackbox')
    if watched != _watched:
        _watch(logger)
        _watched = watched
    # hg: --pager=on starts it before it sets its uis up
    if ui.pageractive and _watchwaits in _watching:
        tryto(_call, 'waiting', 'pagerbegan', ui)
    if ui.debugflag:
        report = part('report')
        report.configfaults(ui, logger)
        report.problems(ui)
    return logger


def setrepo(ui, logger, repo):
    """set the repository of a ui's logger"""
    if _watchwork not in _watching and b'commandfinish' in logger:
        _watching.add(_watchwork)
        tryto(_watchwork)
    checkout = loaded('checkout') if logger.tells_traces else None
    url = checkout.url(repo) if checkout is not None else None
    ui.setlogger(LOGGER, logger.with_root(repo.root, url))


def logger(ui):
    """a ui's logger, if uilog is enabled for it"""
    logger = ui.getlogger(LOGGER)
    if logger is not None and type(logger) is not _Logger:
        logger = populate(ui)
    return logger


def wraplog(orig, isstock):
    """ui.log, except that nothing about logging raises into the command"""

    # Positional-only, as everything that takes an event's options: these may
    # have any name. No extensions.wrapfunction: every event would pay for it.
    @functools.wraps(orig)
    def log(ui, event, msgfmt, /, *msgargs, **opts):
        try:
            loggers = ui._loggers
            native = loggers.get(LOGGER)
            isalone = isstock and len(loggers) == 1
            # Nothing is to be logged of most events. Whole commands are known
            # all the same: those within them may be logged.
            if isalone and event not in _WHOLE:
                if type(native) is _IdleLogger:
                    if not ui.debugflag:
                        return
                elif native is not None and event not in native:
                    return
        except Exception:
            native = None
        if event == b'commandfinish':
            peers = loaded('peers')
            if peers is not None:
                peers.closecommand()
        if native is not None and type(native) is not _Logger:
            try:
                if isalone and not ui.debugflag:
                    native = _ofwhole(ui, native.root)
                else:
                    native = populate(ui)
            except Exception as err:
                _native.internal_fault(err)
                native = None
        if native is None:
            if event in _WHOLE:
                tryto(_call, 'brake', 'note', ui, event, depth(), _offdepths)
            return orig(ui, event, msgfmt, *msgargs, **opts)
        if event == b'commandfinish' and depth() in _offdepths:
            # hg: the end is logged with a ui that no repository configures
            _offdepths.remove(depth())
            return _logunseen(orig, ui, event, msgfmt, msgargs, opts)
        try:
            _deliver(orig, isstock, ui, native, event, msgfmt, msgargs, opts)
        except Exception as err:
            _native.internal_fault(err)
        if event == b'command' and b'session' in native:
            tryto(_call, 'session', 'tell', ui)
        if event == b'commandfinish':
            # Scripts may have failed since the last event.
            tryto(tellproblems, ui)
            tryto(_endcommand)

    return log


def _ofwhole(ui, root):
    """a logger for the beginning or the end of a command that none asks for

    It is not the ui's: a command server logs both for each command.
    """
    global _nothing
    configured = sections(ui)
    if configured is not None:
        return populate(ui, configured)
    if _nothing is None:
        _nothing = _native.Logger([], [])
    return _nothing if root is None else _nothing.with_root(root)


def _logunseen(orig, ui, event, msgfmt, msgargs, opts):
    """pass an event to all loggers but uilog's"""
    native = ui._loggers.pop(LOGGER)
    try:
        return orig(ui, event, msgfmt, *msgargs, **opts)
    finally:
        ui._loggers[LOGGER] = native


def depth():
    """how many commands are nested in the one that hg was started for"""
    peers = loaded('peers')
    return peers.depth() if peers is not None else 0


def _endcommand():
    _native.end_command()
    trace = loaded('trace')
    if trace is not None:
        trace.end()


def tellproblems(ui):
    """show with --debug new problems"""
    if ui.debugflag:
        part('report').problems(ui)


def _deliver(orig, isstock, ui, native, event, msgfmt, msgargs, opts):
    """pass an event on to all that track it, uilog's own sinks first"""
    istaken = isinblackbox = False
    # An outer process may have logged events about a whole command only.
    if event in _WHOLE:
        _note(native, event, msgfmt, msgargs)
        istaken, isinblackbox = _native.taken_by_run(event, depth())
    others: list = []
    if isstock and len(ui._loggers) > 1:
        try:
            others = part('blackbox').wanting(ui, native, event, isinblackbox)
        except Exception as err:
            _native.internal_fault(err)
            # Then hg itself passes the event to other loggers.
            isstock = False
    istracked = not istaken and event in native
    if not istracked and not others and isstock:
        return
    try:
        msg = msgfmt % msgargs
    except Exception as err:
        msg = _native.repair(event, msgfmt, msgargs, err)
        # For loggers that format it again.
        msgfmt, msgargs = b'%s', (msg,)
    if istracked:
        allopts = _withmore(event, opts) if event in _TOLD_BY else opts
        if native.log(ui, event, msg, allopts):
            tellproblems(ui)
    if not isstock:
        # Another extension has wrapped ui.log before, and what it does with an
        # event is its own affair. It must not reach us a second time.
        try:
            _logunseen(orig, ui, event, msgfmt, msgargs, opts)
        except Exception as err:
            foreignfault(ui, b'ui.log', event, err)
    elif others:
        part('blackbox').pass_on(others, ui, native, event, msg, opts)


def _note(native, event, msgfmt, msgargs):
    """note that a command begins or ends"""
    if event == b'command':
        native.begin_command()
        work = loaded('work')
        if work is not None:
            tryto(work.begin)
        if b'commandfinish' in native:
            tryto(_watchclone, msgargs)
    trace = loaded('trace') if native.tells_traces else None
    if trace is not None:
        # A command that was aborted before it could say what it is has not
        # begun when it ends.
        trace.begin(native)
        if event == b'commandfinish':
            tryto(trace.tellhead)
        elif b'commandlost' in native:
            tryto(trace.notecommand, native, msgfmt, msgargs)


def foreignfault(ui, name, event, err):
    """count what another extension has made for the logger of this name"""
    _native.foreign_fault(name, event, err)
    tellproblems(ui)


def _withmore(event, opts):
    """an event's options, with others that hg does not tell"""
    more = {}
    isend = event == b'commandfinish'
    if isend:
        # What is so where no part knows better.
        code = opts.get('return_code')
        command = opts.get('canonical_command')
        if code:
            more['detailed_exit_code'] = code
        if command in (b'pull', b'update') and code in (0, 1):
            more['behavior'] = command + b'-nothing'
    for name, function in _TOLD_BY[event]:
        try:
            teller = loaded(name) if isend else part(name)
            if teller is not None:
                more.update(getattr(teller, function)(opts))
        except Exception as err:
            _native.internal_fault(err)
    # What is told already is not for us to say.
    return {**opts, **more, **opts}


def surround(label, container, function, wrapper):
    """as wrap, but in a tenth of the time; returns what is surrounded"""
    orig = find(label, container, function)
    if orig is not None:
        # No functools.wraps: it costs ten times as much as this.
        def surrounded(*args, **kwargs):
            return wrapper(orig, *args, **kwargs)

        # Where hg looks for what is wrapped, when another extension unwraps it.
        surrounded._origfunc = orig  # type: ignore[attr-defined]
        surrounded._unboundwrapper = wrapper  # type: ignore[attr-defined]
        setattr(container, function, surrounded)
    return orig


def _call(name, function, *args):
    """call a function of a part, which is loaded if it is not yet"""
    getattr(part(name), function)(*args)


# Which of the functions below have been called, and for what configuration.
_watching: set = set()
_watched: tuple = ()


def _watch(logger):
    """wrap functions of hg whose effects it does not log, for tracked events

    What stands around a function of hg's is as little as can be: each command
    reads it. The part that it is about is loaded when there is something to
    tell.
    """
    for event, watch in _WATCHED_FOR:
        if watch not in _watching and (
            event in logger
            # The blackbox has no logger of ours, and changes its mind.
            or (watch in _TOLD_TO_BLACKBOX and loaded('blackbox') is not None)
        ):
            _watching.add(watch)
            tryto(watch)


_watchhooks = functools.partial(_call, 'trace', 'watchrefusals')


def _watcherrors():
    # hg calls it with each exception, before it shows it.
    traceback = late('errors', 'traceback')
    surround('errors', uimod.ui, 'traceback', traceback)


def _watchwaits():
    surround('waiting', uimod.ui, 'timeblockedsection', _section)
    surround('waiting', uimod.ui, 'pager', _pager)


def _section(orig, ui, key, /, *args, **kwargs):
    # These are no persons, and often there is nobody else.
    isprogram = key.startswith((b'exthook-', b'unknown_system_'))
    if isprogram:
        return orig(ui, key, *args, **kwargs)
    return _latesection(orig, ui, key, *args, **kwargs)


_latesection = late('waiting', 'timed')


def _pager(orig, ui, *args, **kwargs):
    isactive = ui.pageractive
    result = orig(ui, *args, **kwargs)
    if ui.pageractive and not isactive:
        tryto(_call, 'waiting', 'pagerbegan', ui)
    return result


def _whenloaded(label, name, func):
    module = findmodule(label, name)
    if module is not None:
        whenloaded(label, module, func)


_watchrequests = functools.partial(
    _whenloaded,
    'requests',
    'wireprotoserver',
    functools.partial(_call, 'requests', 'wrapservers'),
)


def _watchclone(msgargs):
    # By what way a clone's changesets have come, its end does not tell.
    if b'cl' in b''.join(msgargs):
        part('work').watchclone()


def _surroundlocks(module):
    if find('locks', module.lock, '_testlock'):
        trylock = functools.partial(_native.trylock, part, _parts)
        surround('locks', module, 'trylock', trylock)
        # Only who finds a lock held calls it.
        testlock = late('locks', 'testlock')
        surround('locks', module.lock, '_testlock', testlock)
        # hg 7.1 has it, for a clone of a local repository.
        if hasattr(module, 'steal_lock'):
            surround('locks', module, 'steal_lock', _native.steal_lock)


_watchlocks = functools.partial(_whenloaded, 'locks', 'lock', _surroundlocks)


def _watchwork():
    module = findmodule('work', 'localrepo')
    repository = module and find('work', module, 'localrepository')
    if repository:
        transaction = late('work', 'transaction')
        surround('work', repository, 'transaction', transaction)
    _whenloaded('work', 'merge', _surroundmerge)


def _surroundmerge(module):
    surround('work', module, '_update', late('work', 'update'))


_WATCHED_FOR = (
    (b'commandfinish', _watcherrors),
    (b'pythonhook', _watcherrors),
    (b'commandfinish', _watchwaits),
    (b'userwait', _watchwaits),
    (b'hookrefused', _watchhooks),
    (b'wirerequest', _watchrequests),
    (b'wirefinish', _watchrequests),
    (b'commandfinish', _watchlocks),
    (b'lockwait', _watchlocks),
    (b'lockbroken', _watchlocks),
)

# Those of which the blackbox is told.
_TOLD_TO_BLACKBOX = (_watchlocks, _watchrequests)
