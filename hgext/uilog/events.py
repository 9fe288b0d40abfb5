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
import sys
import types

from mercurial import extensions, pycompat, ui as uimod, util

from . import (
    LOGGER,
    RUN_VARIABLE,
    STOCK,
    _native,
    cause,
    find,
    findmodule,
    isincommand,
    iswanted,
    late,
    loaded,
    part,
    tryto,
    whenloaded,
    wrap,
)

_Logger = _native.Logger
# That of a ui for which nothing is to be logged.
_IdleLogger = types.SimpleNamespace

# The events about a whole command.
_WHOLE = (b'command', b'commandfinish')

# The parts that know more about an event than hg logs, and the functions that
# return it, as options.
_TOLD_BY = {
    b'exthook': (('hooks', 'ofshell'),),
    b'pythonhook': (('hooks', 'ofpython'),),
    b'commandexception': (('errors', 'ofexception'),),
}
# The same for a command's end: only parts that are loaded.
_TOLD_AT_END = (
    ('errors', 'ofcommand'),
    ('waiting', 'ofcommand'),
    ('work', 'ofcommand'),
)

# The commands with an option `behavior`.
_BEHAVING = (b'clone', b'pull', b'update')

# Nesting depth of commands that have begun with uilog switched off.
_offdepths: set = set()

# What commands have cost so far, by the options of `commandfinish` that tell
# it, and what that was when the last command began or ended that is so deeply
# nested.
_costs: dict = {}
_costsbefore: dict = {}

# The process that has logged `session`.
_session = 0

# How many of hg's locks this process holds, and since when it holds any.
_held = [0, 0.0]

# A logger that logs nothing, once there is one.
_nothing = None

# Whether the native module knows the command that has loaded it.
_hasentered = False


def setup():
    global _hasentered
    if not _hasentered and isincommand():
        _native.enter_outermost()
    _hasentered = True
    wrap('umask', (util, 'setumask', _setumask))
    # When Python ends, it does not collect hg's util as early as other modules.
    # What can be reached from there, and for that time that is all of hg,
    # would be taken apart piece by piece, which costs 5 million instructions.
    atexit.register(tryto, _unwrapumask)


def _unwrapumask():
    if _setumask in extensions.getwrapperchain(util, 'setumask'):
        extensions.unwrapfunction(util, 'setumask', _setumask)


def _setumask(orig, *args, **kwargs):
    orig(*args, **kwargs)
    # hg: the umask is its only argument
    for mask in (*args, *kwargs.values())[:1]:
        tryto(_native.set_umask, mask)


def populate(ui):
    """give a ui the logger for its configuration"""
    if _native.claim_command():
        # It is about this command, not about its child commands.
        os.environ.pop(RUN_VARIABLE, None)
    before = ui.getlogger(LOGGER)
    scripts = _items(ui, b'logtoprocess')
    logger = _native.Logger(
        _items(ui, b'uilog'),
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
    _watch(logger)
    # hg: --pager=on starts it before it sets its uis up
    if ui.pageractive and _watchwaits in _watching:
        tryto(_call, 'waiting', 'pagerbegan', ui)
    if ui.debugflag:
        report = part('report')
        report.configfaults(ui, logger)
        report.problems(ui)
    return logger


def _watchrequests():
    module = findmodule('requests', 'wireprotoserver')
    if module is not None:
        whenloaded('requests', module, _wraprequests)


def _wraprequests(module):
    part('requests').wrapservers(module)


def _watchlocks():
    module = findmodule('locks', 'lock')
    if module is not None:
        whenloaded('locks', module, _wraplocks)


def _wraplocks(module):
    # Only called if a lock is held, so only then its part is loaded.
    testlock = late('locks', 'testlock')
    wrap(
        'locks',
        (module, 'trylock', _trylock),
        (module.lock, '_testlock', testlock),
    )
    # hg 7.1 has it, for a clone of a local repository.
    if hasattr(module, 'steal_lock'):
        wrap('locks', (module, 'steal_lock', _steallock))


def _trylock(orig, *args, **kwargs):
    """hg's function that takes a lock, and may wait for it"""
    began = util.timer()
    try:
        lock = orig(*args, **kwargs)
    except BaseException as err:
        locks = loaded('locks')
        if locks is not None:
            tryto(locks.fail, err)
        raise
    try:
        if lock.delay or loaded('locks') is not None:
            part('locks').get(args, lock, began)
        if not _held[0]:
            _held[1] = util.timer()
        _held[0] += 1
        lock.postrelease.insert(0, _release)
    except Exception as err:
        _native.internal_fault(err)
    return lock


def _release(success):
    _held[0] -= 1
    if not _held[0]:
        addcost('lock_held', util.timer() - _held[1])


def _steallock(orig, ui, vfs, name, stolen, *args, **kwargs):
    lock = orig(ui, vfs, name, stolen, *args, **kwargs)
    if _release in stolen.postrelease:
        lock.postrelease.insert(0, _release)
    return lock


def addcost(option, value):
    """add to this option of `commandfinish`"""
    _costs[option] = _costs.get(option, 0) + value


def _begincosts():
    if _costs:
        _costsbefore[depth()] = _costs.copy()


def _tellcosts(more):
    """add the costs of the ending command to its options"""
    if _held[0]:
        now = util.timer()
        addcost('lock_held', now - _held[1])
        _held[1] = now
    if not _costs:
        return
    before = _costsbefore.get(depth(), {})
    commands: dict = {}
    for option, value in _costs.items():
        cost = value - before.get(option, 0)
        if not cost:
            continue
        if type(option) is tuple:
            command, which = option
            commands.setdefault(command, [0, 0.0])[which] = cost
        else:
            more[option] = cost
    if commands:
        more['wire_commands'] = part('wire').text(commands)
    _begincosts()


def _items(ui, section):
    """a section's names and values, without those of chg's first client"""
    items = ui.configitems(section)
    if _native.is_chg_server():
        # chg gives the server that it starts the options of the command that
        # it was called for: they are for that command alone.
        source = functools.partial(ui.configsource, section)
        items = [item for item in items if source(item[0]) != b'--config']
    return items


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
    found = ui.getlogger(LOGGER)
    if found is not None and type(found) is not _Logger:
        found = populate(ui)
    return found


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
            # Nothing is to be logged for most uis. Whole commands are known
            # all the same: those within them may be logged.
            if (
                type(native) is _IdleLogger
                and isalone
                and event not in _WHOLE
                and not ui.debugflag
            ):
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
            except Exception:
                native = None
        if native is None:
            tryto(_noteoff, ui, event)
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
            tryto(_tellsession, ui)
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
    if iswanted(ui):
        return populate(ui)
    if _nothing is None:
        _nothing = _native.Logger([], [])
    return _nothing if root is None else _nothing.with_root(root)


def depth():
    """how many commands are nested in the one that hg was started for"""
    peers = loaded('peers')
    return peers.depth() if peers is not None else 0


def _noteoff(ui, event):
    """note that a command has begun with uilog switched off"""
    if event == b'command' and cause(ui) is not None:
        _offdepths.add(depth())
    elif event == b'commandfinish':
        _offdepths.discard(depth())


def _logunseen(orig, ui, event, msgfmt, msgargs, opts):
    """pass an event to all loggers but uilog's"""
    native = ui._loggers.pop(LOGGER)
    try:
        return orig(ui, event, msgfmt, *msgargs, **opts)
    finally:
        ui._loggers[LOGGER] = native


def _tellsession(ui):
    """log the event `session` once for each process, also for a forked one"""
    global _session
    if _session != os.getpid():
        _session = os.getpid()
        part('session').tell(ui)


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
    more: dict = {}
    istaken = isinblackbox = False
    # An outer process may have logged events about a whole command only.
    if event in _WHOLE:
        _note(native, event, msgfmt, msgargs, more)
        istaken, isinblackbox = _native.taken_by_run(event, depth())
    others: list = []
    if isstock and len(ui._loggers) > 1:
        others = _wanting(ui, native, event, isinblackbox)
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
        _tosinks(ui, native, event, msg, opts, more)
    if not isstock:
        _towrapper(orig, ui, native, event, msgfmt, msgargs, opts)
    elif others:
        _tologgers(others, ui, native, event, msg, opts)


def _note(native, event, msgfmt, msgargs, more):
    """note that a command begins or ends, and its costs"""
    if event == b'command':
        native.begin_command()
        _begincosts()
        if b'commandfinish' in native:
            tryto(_watchclone, msgargs)
    else:
        tryto(_tellcosts, more)
    trace = loaded('trace') if native.tells_traces else None
    if trace is not None:
        # A command that was aborted before it could say what it is has not
        # begun when it ends.
        trace.begin(native)
        if event == b'commandfinish':
            tryto(trace.tellhead)
        elif b'commandlost' in native:
            tryto(trace.notecommand, native, msgfmt, msgargs)


def _tosinks(ui, native, event, msg, opts, more):
    """pass an event to uilog's own sinks, with options that hg does not log"""
    if event in _TOLD_BY or event == b'commandfinish':
        opts = _withmore(event, opts, more)
    if native.log(ui, event, msg, opts):
        tellproblems(ui)


def _towrapper(orig, ui, native, event, msgfmt, msgargs, opts):
    """pass an event to an extension that has wrapped ui.log before

    What it does with an event is not our concern, but the event must not reach
    us a second time.
    """
    loggers = ui._loggers
    del loggers[LOGGER]
    try:
        orig(ui, event, msgfmt, *msgargs, **opts)
    except Exception as err:
        _foreignfault(ui, b'ui.log', event, err)
    finally:
        loggers[LOGGER] = native


def _tologgers(others, ui, native, event, msg, opts):
    """pass an event to other loggers: names, loggers, whether they are ours

    As in stock hg, what a logger logs itself reaches no other logger; it does
    reach ours, which cannot log in turn.
    """
    loggers = ui._loggers
    ui._loggers = {LOGGER: native}
    try:
        for name, logger, isours in others:
            try:
                if isours:
                    logger.log(ui, event, msg)
                else:
                    logger.log(ui, event, msg, pycompat.byteskwargs(opts))
            except Exception as err:
                _foreignfault(ui, name, event, err)
    finally:
        ui._loggers = loggers


def _wanting(ui, native, event, isinblackbox):
    """other loggers that track an event, as `_tologgers` takes them"""
    files = loaded('blackbox') or _loadfiles()
    others = []
    for name, logger in ui._loggers.items():
        # The stock extension's would run each script again.
        if logger is native or name == STOCK:
            continue
        if type(logger) is files.proxylogger:
            logger = logger.logger
            if logger is None:
                continue
        isours = type(logger) is files.Logger
        try:
            if isours:
                wants = not isinblackbox and event in logger.file
            else:
                wants = logger.tracked(event)
            if wants:
                others.append((name, logger, isours))
        except Exception as err:
            _foreignfault(ui, name, event, err)
    return others


def _withmore(event, opts, more):
    """an event's options, with `more` and others that hg does not log"""
    if event == b'commandfinish':
        if opts.get('return_code'):
            tryto(part, 'errors')
        if opts.get('canonical_command') in _BEHAVING:
            tryto(part, 'work')
        tellers: tuple = _TOLD_AT_END
    else:
        tellers = _TOLD_BY[event]
        tryto(part, tellers[0][0])
    for name, function in tellers:
        teller = loaded(name)
        if teller is not None:
            try:
                more.update(getattr(teller, function)(opts))
            except Exception as err:
                _native.internal_fault(err)
    # Options that hg logs itself stay.
    return {**opts, **{key: more[key] for key in more if key not in opts}}


def _loadfiles():
    """the part that knows hg's own loggers"""
    try:
        return part('blackbox')
    except Exception as err:
        _native.internal_fault(err)
        # They are loggers like any others then.
        return types.SimpleNamespace(Logger=None, proxylogger=None)


def _foreignfault(ui, name, event, err):
    """count an exception of another extension's logger"""
    _native.foreign_fault(name, event, err)
    tellproblems(ui)


# The functions below that have been called.
_watching: set = set()

# hg: the names of sections in which a person is waited for
_PERSONAL = (
    b'editor config_edit filterpatch stdio mergetool crecord histedit extdiff '
    b'hgk_view'
).split()


def _watch(logger):
    """wrap functions of hg whose effects it does not log, for tracked events

    What stands around a function of hg's is as little as can be: each command
    pays for it. The part that it is about is loaded when there is something
    to tell.
    """
    # The blackbox has no logger of uilog's, and its configuration may change.
    hasblackbox = loaded('blackbox') is not None
    for event, watch in _WATCHED_FOR:
        if watch in _watching:
            continue
        if event in logger or (hasblackbox and watch in _TOLD_TO_BLACKBOX):
            _watching.add(watch)
            tryto(watch)


def _call(name, function, *args):
    """call a function of a part; loads it if needed"""
    getattr(part(name), function)(*args)


def surround(label, container, function, wrapper):
    """like wrap, for rarely called functions, and in a fifth of the time"""
    orig = find(label, container, function)
    if orig is not None:

        @functools.wraps(orig)
        def surrounded(*args, **kwargs):
            return wrapper(orig, *args, **kwargs)

        setattr(container, function, surrounded)


def _watcherrors():
    # hg calls it with each exception, before it shows it.
    surround('errors', uimod.ui, 'traceback', _traceback)


def _traceback(orig, ui, *args, **kwargs):
    tryto(_noteexception, ui)
    return orig(ui, *args, **kwargs)


def _noteexception(ui):
    native = ui._loggers.get(LOGGER)
    if type(native) is _Logger and sys.exc_info()[1] is not None:
        part('errors').notice(native)


def _watchwaits():
    surround('waiting', uimod.ui, 'timeblockedsection', _section)
    surround('waiting', uimod.ui, 'pager', _pager)


def _section(orig, ui, key, /, *args, **kwargs):
    found = orig(ui, key, *args, **kwargs)
    if key in _PERSONAL:
        try:
            return part('waiting').section(ui, key, found)
        except Exception as err:
            _native.internal_fault(err)
    return found


def _pager(orig, ui, *args, **kwargs):
    isactive = ui.pageractive
    orig(ui, *args, **kwargs)
    if ui.pageractive and not isactive:
        tryto(_call, 'waiting', 'pagerbegan', ui)


def _watchhooks():
    part('trace').watchrefusals()


_WATCHED_FOR = (
    (b'commandfinish', _watcherrors),
    (b'pythonhook', _watcherrors),
    (b'commandfinish', _watchwaits),
    (b'userwait', _watchwaits),
    (b'hookrefused', _watchhooks),
    (b'commandfinish', _watchlocks),
    (b'lockwait', _watchlocks),
    (b'lockbroken', _watchlocks),
    (b'wirerequest', _watchrequests),
    (b'wirefinish', _watchrequests),
)

# The events that the blackbox gets.
_TOLD_TO_BLACKBOX = (_watchlocks, _watchrequests)


def _watchclone(msgargs):
    # The end of a clone does not show how its changesets came.
    if any(type(text) is bytes and b'cl' in text for text in msgargs):
        part('work').watchclone()


def _watchwork():
    module = findmodule('work', 'localrepo')
    repository = module and find('work', module, 'localrepository')
    if repository:
        surround('work', repository, 'transaction', _transaction)
    merge = findmodule('work', 'merge')
    if merge is not None:
        whenloaded('work', merge, _surroundmerge)


def _surroundmerge(module):
    surround('work', module, '_update', late('work', 'update'))


def _transaction(orig, repo, *args, **kwargs):
    tr = orig(repo, *args, **kwargs)
    # hg: how many transactions of the same name are nested
    if tr._count == 1:
        tryto(_call, 'work', 'watch', repo, tr)
    return tr
