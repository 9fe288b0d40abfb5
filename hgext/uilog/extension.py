# extension.py - what hg calls, unless uilog is switched off
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the extension's hooks: setting up, populating a ui, and ui.log

Loaded as soon as it is certain that uilog is to work (see brake).
"""

from __future__ import annotations

import atexit
import functools
import os

from mercurial import (
    configitems,
    extensions,
    loggingutil,
    pycompat,
    registrar,
    ui as uimod,
    util,
)
from mercurial.utils import procutil

from . import (
    _native,
    blackbox,
    brake,
    checkout,
    history,
    peers,
    report,
    trace,
    wraps,
)

# Not for hg to find: it is of no use while uilog is switched off.
configtable: dict = {}
configitem = registrar.configitem(configtable)

for _name, _default in _native.ITEMS:
    configitem(b'uilog', _name.encode(), default=_default.encode())
configitem(b'uilog', rb'sink\..*', default=None, generic=True)
# An event may have any name, and sub-options beside it.
configitem(b'logtoprocess', b'.*', default=None, generic=True)

# By which `uilog run` tells its command that it is being watched.
RUN_VARIABLE = 'UILOG_RUN'

LOGGER = brake.LOGGER
# The stock extension, and what it calls its logger.
STOCK = b'logtoprocess'

# ui.log as hg has it.
_stocklog = None

# How deeply nested the commands are that have begun switched off.
_offdepths: set = set()

# Loaded now and not, as Mercurial's imports are, when it is first needed: then
# there may be no descriptor left to load it, and a signal may leave the half.
_tellproblems = report.problems
_endtrace = trace.end
_tryto = wraps.tryto
_gethead = checkout.head


def uisetup(ui, stocklog):
    global _stocklog
    _stocklog = stocklog
    configitems.loadconfigtable(ui, b'uilog', configtable)
    _native.setup(os.fsencode(_native.__file__), procutil.hgexecutable)
    # A net below the net: children that leave through os._exit do without.
    atexit.register(_native.finish)
    atexit.register(peers.closecommand)
    _wrapui()
    wraps.wrap('umask', (util, 'setumask', _setumask))
    for part in (trace, peers, blackbox, history):
        wraps.tryto(_setup, part, ui)
    extensions.afterloaded(STOCK, _replacestock)


def _setup(part, ui):
    # A module of Mercurial's that is missing is noticed here.
    part.uisetup(ui)


def _wrapui():
    # Without, hg itself calls our logger.
    log = wraps.function('traces', uimod.ui, 'log')
    if log is not None:
        uimod.ui.log = _wraplog(log)


def uipopulate(ui):
    wraps.tryto(_populate, ui)


def _populate(ui):
    if _native.claim_command():
        # It is about this command, not about those that this one runs.
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
    ui.setlogger(LOGGER, logger)
    ui._loggers.pop(STOCK, None)
    if ui.debugflag:
        report.configfaults(ui, logger)
        report.problems(ui)


def _items(ui, section):
    """a section's names and values, as far as they are this process's"""
    items = ui.configitems(section)
    if _native.is_chg_server():
        # chg gives the server that it starts the options of the command that
        # it was called for: they are for that command alone.
        source = functools.partial(ui.configsource, section)
        items = [item for item in items if source(item[0]) != b'--config']
    return items


def reposetup(ui, repo):
    wraps.tryto(_setuprepo, ui, repo)


def _setuprepo(ui, repo):
    logger = ui.getlogger(LOGGER)
    if logger is not None and repo.local():
        url = checkout.add(repo)
        ui.setlogger(LOGGER, logger.with_root(repo.root, url))


def _replacestock(loaded):
    """keep the stock extension from running each script a second time"""
    if loaded:
        stock = extensions.find(STOCK)
        wraps.wrap(STOCK.decode(), (stock, 'uipopulate', _populatestock))


def _populatestock(orig, ui, *args, **kwargs):
    if ui.getlogger(LOGGER) is None or brake.cause(ui) is not None:
        orig(ui, *args, **kwargs)


def _setumask(orig, *args, **kwargs):
    orig(*args, **kwargs)
    # hg: the umask is its only argument
    for mask in (*args, *kwargs.values())[:1]:
        wraps.tryto(_native.set_umask, mask)


def _wraplog(orig):
    """ui.log, except that nothing about logging raises into the command"""

    # Positional-only, as everything that takes an event's options: these may
    # have any name. No extensions.wrapfunction: every event would pay for it.
    @functools.wraps(orig)
    def log(ui, event, msgfmt, /, *msgargs, **opts):
        if event == b'commandfinish':
            peers.closecommand()
        try:
            native = ui._loggers.get(LOGGER)
        except AttributeError:
            native = None
        if native is None:
            if event == b'command' and brake.cause(ui) is not None:
                _offdepths.add(peers.depth())
            elif event == b'commandfinish':
                _offdepths.discard(peers.depth())
            return orig(ui, event, msgfmt, *msgargs, **opts)
        if event == b'commandfinish' and peers.depth() in _offdepths:
            # hg: the end is logged with a ui that no repository configures
            _offdepths.remove(peers.depth())
            return _logunseen(orig, ui, event, msgfmt, msgargs, opts)
        try:
            _deliver(orig, ui, native, event, msgfmt, msgargs, opts)
        except Exception as err:
            _native.internal_fault(err)
        if event == b'commandfinish':
            if ui.debugflag:
                # Scripts may have failed since the last event.
                _tryto(_tellproblems, ui)
            _tryto(_endtrace)

    return log


def _logunseen(orig, ui, event, msgfmt, msgargs, opts):
    """let everybody but us have an event"""
    native = ui._loggers.pop(LOGGER)
    try:
        return orig(ui, event, msgfmt, *msgargs, **opts)
    finally:
        ui._loggers[LOGGER] = native


def _tellhead():
    root = _native.command_root()
    if root is not None:
        _native.set_head(root, *_gethead(root))


def _deliver(orig, ui, native, event, msgfmt, msgargs, opts):
    loggers = ui._loggers
    if event == b'command':
        trace.begin(native)
    elif event == b'commandfinish':
        trace.finishing(native)
        if native.tells_traces:
            _tryto(_tellhead)
    # Only what tells of a whole command may have been logged around it.
    if event == b'command' or event == b'commandfinish':
        istaken, isinblackbox = _native.taken_by_run(event, peers.depth())
    else:
        istaken = isinblackbox = False
    others = []
    for name, logger in loggers.items():
        # The stock extension's would run each script again.
        if logger is native or name == STOCK:
            continue
        if type(logger) is loggingutil.proxylogger:
            logger = logger.logger
            if logger is None:
                continue
        try:
            if type(logger) is blackbox.Logger:
                istracked = not isinblackbox and event in logger.file
            else:
                istracked = logger.tracked(event)
            if istracked:
                others.append((name, logger))
        except Exception as err:
            _foreignfault(ui, name, event, err)
    istracked = not istaken and event in native
    isstock = orig is _stocklog
    if not istracked and not others and isstock:
        return
    try:
        msg = msgfmt % msgargs
    except Exception as err:
        msg = _native.repair(event, msgfmt, msgargs, err)
        # For whoever formats it again.
        msgfmt, msgargs = b'%s', (msg,)
    if istracked and native.log(ui, event, msg, opts):
        _tellproblems(ui)
    if not isstock:
        # Another extension has wrapped ui.log before, and what it does with
        # an event is its own affair. It must not reach us a second time.
        del loggers[LOGGER]
        try:
            orig(ui, event, msgfmt, *msgargs, **opts)
        except Exception as err:
            _foreignfault(ui, b'ui.log', event, err)
        finally:
            loggers[LOGGER] = native
    elif others:
        # As in stock hg, what a logger logs itself reaches no other logger;
        # it does reach ours, which cannot log in turn.
        ui._loggers = {LOGGER: native}
        try:
            for name, logger in others:
                try:
                    if type(logger) is blackbox.Logger:
                        logger.log(ui, event, msg)
                    else:
                        logger.log(ui, event, msg, pycompat.byteskwargs(opts))
                except Exception as err:
                    _foreignfault(ui, name, event, err)
        finally:
            ui._loggers = loggers


def _foreignfault(ui, name, event, err):
    """count what another extension has made for the logger of this name"""
    _native.foreign_fault(name, event, err)
    _tellproblems(ui)
