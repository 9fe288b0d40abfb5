# uilog - event logging that a command never notices
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""log hg's events to scripts, the blackbox and collectors

Mercurial reports what it does as events: a command begins (``command``) or
ends (``commandfinish``), a hook has run (``exthook``), a command has failed
unexpectedly (``commandexception``), and so on. For each event, this extension
can run a script, write a line to the blackbox, and send a record to a log
daemon or a collector. None of this delays, changes or stops the command.

The settings are in an hgrc file::

  [extensions]
  uilog =

  [logtoprocess]
  # a script for an event
  commandfinish = /usr/local/bin/record-command

  [uilog]
  # a destination for records, by a URL
  sink.audit = file:~/log/hg-%Y-%m-%d.jsonl
  # a history of your commands, for `uilog log`
  history = yes

Topics, such as :hg:`help uilog.scripts`:

:scripts: Scripts that events run
:events: Options and events that uilog adds
:peers: Connections to other repositories
:blackbox: The blackbox
:sinks: Destinations for records
:privacy: What sinks are not told
:fleet: Many users and machines
:failures: What has failed or was lost
:off: Switching uilog off

:hg:`help uilog.max-scripts` describes one setting, as ``uilog help
max-scripts`` does. :hg:`debuguilog` shows each setting with its value and the
file that sets it.

If events are missing, ``uilog check`` finds what is wrong with the
configuration, and ``uilog status`` shows what is running and what has failed.
To switch all of uilog off, set ``UILOG=off`` in the environment.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import os
import sys
import types
import weakref

import hgdemandimport
from mercurial import (
    cmdutil,
    configitems,
    dispatch,
    extensions,
    pycompat,
    registrar,
    ui as uimod,
)
from mercurial.i18n import _
from mercurial.utils import procutil, stringutil

testedwith = b'6.3 6.4 6.5 6.6 6.7 6.8 6.9 7.0 7.1 7.2'
if b'exp-archived-phase' not in configitems.coreitems.get(b'format', {}):
    # This setting is new in hg 6.3. If there is a minimumhgversion, hg
    # determines its own version, which costs as much as this whole module.
    minimumhgversion = b'6.3'

__version__ = b'0.1.0'

cmdtable: dict = {}
command = registrar.command(cmdtable)

# The name of uilog's logger in a ui.
LOGGER = b'uilog'
# The stock extension, and the name of its logger.
STOCK = b'logtoprocess'
BLACKBOX = b'blackbox'

# May switch uilog off; `brake` decides.
BRAKE_VARIABLE = 'UILOG'
BRAKE_SECTION = b'uilog'
BRAKE_ITEM = b'enabled'

# Set by `uilog run` for its command.
RUN_VARIABLE = 'UILOG_RUN'
# Set by chg for the server that it starts.
CHG_VARIABLE = 'CHGINTERNALMARK'

_stocklog = getattr(uimod.ui, 'log', None)

# Why uilog cannot be loaded, and so is off until this process ends.
_failure = None

# Whether uilog was off when hg set up its extensions; it then stays off.
_isoff = False

# The repositories in use, by their roots.
repos: weakref.WeakValueDictionary = weakref.WeakValueDictionary()

# All parts, in the order of their dependencies. A part is a module of uilog
# that is loaded when it is needed for the first time, because most commands
# need none, and loading costs time. Once anything is to be logged, or a
# connection is opened, the native module and `events` are loaded; `brake` needs
# neither.
PARTS = (
    'brake',
    'events',
    'blackbox',
    'locks',
    'trace',
    'checkout',
    'wire',
    'peers',
    'requests',
    'session',
    'report',
    'history',
    'errors',
    'hooks',
    'waiting',
    'work',
)

# The parts that are loaded, and set up.
_parts: dict = {}

# Faults before the native module was loaded, which counts later ones.
_uncounted: list = []
MAX_UNCOUNTED = 10

# Parts that are off because this Mercurial lacks something: label and reason.
missing: list = []
OFF = 'off: %s (%s)'

# Lazy modules that will be wrapped when they are loaded.
pending: list = []

# hg: demandimport makes lazy modules with importlib's LazyLoader
LAZY = '_LazyModule'


def uisetup(ui):
    """install the hooks that every command needs, unless uilog is off

    Parts do everything else; most commands do not need them.
    """
    global _isoff
    maybeoff = isset(CHG_VARIABLE) or _maybeoff(ui)
    if maybeoff and part('brake').uisetup(ui):
        _isoff = True
        return
    _registeritems(ui)
    log = find('traces', uimod.ui, 'log')
    # Otherwise hg itself calls uilog's logger.
    if log is not None:
        uimod.ui.log = _wraplog(log)
    nested = late('peers', 'nested')
    wrap('nested commands', (dispatch, 'dispatch', nested))
    for label, module, func in (
        ('other peers', _factory(), _wrapfactory),
        ('ssh peers', findmodule('ssh peers', 'sshpeer'), _wrapssh),
        ('servers', findmodule('servers', 'server'), _prepareserver),
        ('help', findmodule('help', 'help'), _addhelp),
    ):
        if module is not None:
            whenloaded(label, module, func)
    extensions.afterloaded(STOCK, _replacestock)
    extensions.afterloaded(BLACKBOX, _replaceblackbox)
    # A chg server is recognized by its environment, which it soon changes.
    # A process without a command may run for a long time.
    if isset(CHG_VARIABLE) or not isincommand():
        loadparts()


def cause(ui):
    """what switches uilog off for this ui, or None"""
    if _failure is None and (_isoff or _maybeoff(ui)):
        try:
            return part('brake').cause(ui)
        except Exception as err:
            _fail(ui, err)
    return _failure


def _maybeoff(ui):
    return isset(BRAKE_VARIABLE) or ui.hasconfig(BRAKE_SECTION, BRAKE_ITEM)


def isset(variable):
    """whether there is an environment variable of this name"""
    try:
        # What os.environ itself does raises an exception inside if there is
        # none, and this is asked for each ui.
        variables = os.environ._data  # type: ignore[attr-defined]
        return variable.encode() in variables
    except AttributeError:
        return variable in os.environ


def _issilent(ui):
    """whether neither the environment nor a ui's configuration is about uilog

    Each command of a server asks it three times, so it looks at once where
    ui.hasconfig and ui.configitems do.
    """
    # hg: the configuration that is trusted
    config = ui._tcfg
    variables = os.environ._data  # type: ignore[attr-defined]
    return not (
        b'uilog' in config
        or STOCK in config
        or ui.debugflag
        # The names of both variables.
        or b'UILOG' in variables
        or b'UILOG_RUN' in variables
    )


def _fail(ui, err):
    """continue without uilog, which cannot be loaded"""
    global _failure
    why = stringutil.forcebytestr(err)
    # hg: extensions.loadall
    ui.warn(_(b'*** failed to import extension "uilog": %s\n') % why)
    ui.traceback()
    _failure = b'it cannot be loaded: %s' % why


def isincommand():
    """whether a command has loaded uilog"""
    return any(True for _frame in dispatchframes())


def dispatchframes():
    """the active calls of hg's dispatch, the innermost first"""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get('__name__') == dispatch.__name__:
            yield frame
        frame = frame.f_back


def _factory():
    """the module with the function that opens a peer"""
    try:
        # hg 7.2 has moved it.
        from mercurial.repo import factory
    except ImportError:
        return findmodule('other peers', 'hg')
    return factory


def _wrapfactory(module):
    openpeer = late('peers', 'openpeer')
    wrap('other peers', (module, 'peer', openpeer))


def _wrapssh(module):
    part('peers').wrapssh(module)


def _prepareserver(module):
    loadparts()


def _addhelp(module):
    # Its texts are long, and few commands show help.
    _load('topics').add(module)


def _registeritems(ui):
    registered = ui._knownconfig
    for section in (b'uilog', STOCK):
        if section not in registered:
            items = registered[section] = _Items()
            items.section = section


def _filling(name):
    def method(self, *args):
        self.__class__ = configitems.itemregister
        tryto(_fill, self)
        return getattr(self, name)(*args)

    return method


class _Items(configitems.itemregister):
    """a section's items, which are created on first use

    Few commands use them; hg creates those of all extensions for every command.
    """

    __contains__ = _filling('__contains__')
    __getitem__ = _filling('__getitem__')
    __iter__ = _filling('__iter__')
    __len__ = _filling('__len__')
    get = _filling('get')
    items = _filling('items')
    keys = _filling('keys')
    update = _filling('update')
    values = _filling('values')


def _fill(items):
    table: dict = {}
    configitem = registrar.configitem(table)
    section = items.section
    if section == STOCK:
        # An event may have any name, and sub-options.
        configitem(section, b'.*', default=None, generic=True)
    else:
        configitem(section, rb'sink\..*', default=None, generic=True)
        for name, default in part('_native').ITEMS:
            configitem(section, name.encode(), default=default.encode())
    items.update(table[section])


# The logger of a ui for which nothing is to be logged. It has no class of its
# own, since creating a class costs as much as ten functions.
def _idlelogger(root):
    return types.SimpleNamespace(
        root=root, tells_traces=False, tracked=_tracksnothing
    )


def _tracksnothing(event):
    return False


def uipopulate(ui):
    try:
        if _failure is None and not _isoff and _issilent(ui):
            _beidle(ui)
            return
    except Exception:
        # Another version of hg keeps them elsewhere. What is wrong, if anything
        # is, the calls below find and count.
        pass
    if cause(ui) is not None:
        # The ui may be a copy of one with uilog enabled.
        ui._loggers.pop(LOGGER, None)
        return
    tryto(_populate, ui)


def _populate(ui):
    configured = sections(ui)
    if configured is None:
        _beidle(ui)
        return
    events = loaded('events')
    if events is None:
        try:
            events = part('events')
        except Exception as err:
            _fail(ui, err)
            ui._loggers.pop(LOGGER, None)
            return
    if ui.debugflag:
        loadparts()
    events.populate(ui, configured)


def _beidle(ui):
    """give a ui the logger that logs nothing"""
    loggers = ui._loggers
    before = loggers.get(LOGGER)
    # That of the ui that this one is a copy of will do.
    if type(before) is not types.SimpleNamespace:
        root = before.root if before is not None else None
        loggers[LOGGER] = _idlelogger(root)
    if STOCK in loggers:
        del loggers[STOCK]


def sections(ui):
    """the items of both sections if anything may have to be logged for a ui,
    or None"""
    items, scripts = ui.configitems(b'uilog'), ui.configitems(STOCK)
    if items or scripts or ui.debugflag or isset(RUN_VARIABLE):
        return items, scripts
    return None


def reposetup(ui, repo):
    tryto(_setuprepo, ui, repo)


def _setuprepo(ui, repo):
    logger = ui.getlogger(LOGGER)
    if logger is not None and repo.local():
        repos[repo.root] = repo.unfiltered()
        if type(logger) is types.SimpleNamespace:
            ui.setlogger(LOGGER, _idlelogger(repo.root))
        else:
            part('events').setrepo(ui, logger, repo)


def _replacestock(loaded):
    """keep the stock extension from running each script a second time"""
    if loaded:
        stock = extensions.find(STOCK)
        wrap(STOCK.decode(), (stock, 'uipopulate', _populatestock))


def _populatestock(orig, ui, *args, **kwargs):
    if ui.getlogger(LOGGER) is None or cause(ui) is not None:
        orig(ui, *args, **kwargs)


def _replaceblackbox(loaded):
    if loaded:
        tryto(_loadblackbox)


def _loadblackbox():
    part('blackbox').replacestock()


def _wraplog(orig):
    """ui.log until there is anything to log

    `events` replaces it, unless another extension has wrapped it.
    """
    isstock = orig is _stocklog
    full = None

    @functools.wraps(orig)
    def log(ui, event, msgfmt, /, *msgargs, **opts):
        nonlocal full
        if full is None:
            if loaded('events') is None:
                loggers = getattr(ui, '_loggers', ())
                if LOGGER not in loggers:
                    # Switched off, another extension's ui, or too early.
                    return orig(ui, event, msgfmt, *msgargs, **opts)
                if isstock and len(loggers) == 1 and not ui.debugflag:
                    return
            try:
                full = part('events').wraplog(orig, isstock)
            except Exception as err:
                fault(err)
            if full is None:
                return orig(ui, event, msgfmt, *msgargs, **opts)
            if uimod.ui.log is log:
                uimod.ui.log = full
        return full(ui, event, msgfmt, *msgargs, **opts)

    return log


def part(name):
    """a part of uilog; loads it if needed

    The native module and `events` always come with it, except with `brake`:
    they may be broken. Raises if it cannot be loaded; the next call
    tries again.
    """
    module = _parts.get(name)
    if module is not None:
        return module
    if name == 'brake':
        module = _parts[name] = _load(name)
        return module
    if '_native' not in _parts:
        _parts['_native'] = _loadnative()
        if name == '_native':
            return _parts[name]
    if name != 'events':
        part('events')
    module = _load(name)
    setup = getattr(module, 'setup', None)
    if setup is not None:
        setup()
    _parts[name] = module
    return module


def loaded(name):
    """a part of uilog if it is loaded, or None"""
    return _parts.get(name)


def loadparts():
    """load all parts, for a process that may outlive their files

    A server may run for weeks, while uilog is upgraded or removed.
    """
    for name in PARTS:
        tryto(part, name)


def _identity():
    """identifies the files, to see whether they have been replaced"""
    status = os.stat(__file__)
    return status.st_dev, status.st_ino, status.st_mtime_ns


_OWN_IDENTITY = _identity()


def _load(name):
    """a module of uilog, completely or not at all

    Not imported lazily: a signal in the middle would leave the module half
    executed.
    """
    if _identity() != _OWN_IDENTITY:
        raise ImportError('uilog has been upgraded since hg was started')
    sys.meta_path.insert(0, _FINDER)
    try:
        with hgdemandimport.deactivated():
            return importlib.import_module('.' + name, __package__)
    finally:
        sys.meta_path.remove(_FINDER)


def _find(full, path=None, target=None):
    """where a part is, as a finder for importlib

    Others would list the directory and look for five names in it.
    """
    name = full.rpartition('.')[2]
    if name == '_native':
        file = os.path.join(_DIRECTORY, '_native.abi3.so')
        loader: type = importlib.machinery.ExtensionFileLoader
    elif name in PARTS:
        file = os.path.join(_DIRECTORY, name + '.py')
        loader = importlib.machinery.SourceFileLoader
    else:
        return None
    if full != '%s.%s' % (__package__, name) or not os.path.exists(file):
        return None
    spec = importlib.machinery.ModuleSpec(full, loader(full, file), origin=file)
    spec.has_location = True
    return spec


_DIRECTORY = os.path.dirname(__file__)
# No new class: creating one costs as much as ten functions.
_FINDER = types.SimpleNamespace(find_spec=_find)


def _loadnative():
    # hg itself does not need it.
    with hgdemandimport.deactivated():
        import atexit
    native = _load('_native')
    native.setup(os.fsencode(native.__file__), procutil.hgexecutable)
    # Last resort: children that leave through os._exit skip it.
    atexit.register(native.finish)
    for err in _uncounted:
        native.internal_fault(err)
    for label, problem in missing:
        native.part_off(OFF % (label, problem))
    return native


def late(name, func):
    """a wrapper: a function of a part, which is loaded on the first call"""

    def wrapper(orig, /, *args, **kwargs):
        # Not called while an exception of ours is handled: hg would see it.
        function = None
        try:
            function = getattr(part(name), func)
        except Exception as err:
            fault(err)
        if function is None:
            return orig(*args, **kwargs)
        return function(orig, *args, **kwargs)

    return wrapper


def wrap(label, *wrapped):
    """wrap functions, each a container, a name and a wrapper

    All of them; if one is missing, none, and this part is off. Returns whether
    they are wrapped. A signal may have interrupted an earlier call, so wrapping
    twice is the same as wrapping once.
    """
    try:
        for container, name, _wrapper in wrapped:
            if not callable(getattr(container, name, None)):
                return off(label, _whatiswrong(container, name))
        for container, name, wrapper in wrapped:
            if wrapper not in extensions.getwrapperchain(container, name):
                extensions.wrapfunction(container, name, wrapper)
    except Exception as err:
        fault(err)
        return off(label, str(err))
    return True


def find(label, container, name):
    """the function or class of this name; None, and the part is off, if it
    is missing"""
    value = getattr(container, name, None)
    if callable(value):
        return value
    off(label, _whatiswrong(container, name))
    return None


def findmodule(label, name):
    """a module of Mercurial; None, and the part is off, if it is missing"""
    full = 'mercurial.' + name
    try:
        # Importing a lazily imported module again would load it.
        return sys.modules.get(full) or importlib.import_module(full)
    except Exception as err:
        off(label, '%s is missing: %s' % (name, err))
        return None


def off(label, problem):
    """note that a part is off"""
    if (label, problem) not in missing:
        missing.append((label, problem))
        native = _parts.get('_native')
        if native is not None:
            native.part_off(OFF % (label, problem))
    return False


def whenloaded(label, lazy, func):
    """call func with a module as soon as it has been loaded"""
    if type(lazy).__name__ != LAZY:
        tryto(func, lazy)
        return
    try:
        spec = object.__getattribute__(lazy, '__spec__')
        loader = spec.loader

        def execute(module):
            module.__spec__.loader = loader
            loader.exec_module(module)
            tryto(func, module)

        # No new class: creating one costs as much as ten functions.
        spec.loader = types.SimpleNamespace(exec_module=execute)
        pending.append(lazy)
    except Exception as err:
        off(label, 'cannot tell whether %r is loaded: %s' % (lazy, err))


def tryto(func, *args):
    """call a function whose exceptions must not make the command fail"""
    try:
        func(*args)
    except Exception as err:
        fault(err)


def fault(err):
    """count a fault of uilog"""
    native = _parts.get('_native')
    if native is not None:
        native.internal_fault(err)
    elif len(_uncounted) < MAX_UNCOUNTED:
        # Keeps nothing that its frames refer to.
        _uncounted.append(err.with_traceback(None))


def _whatiswrong(container, name):
    label = container.__name__
    if isinstance(container, type):
        label = '%s.%s' % (container.__module__, container.__qualname__)
    label = label.removeprefix('mercurial.') + '.' + name
    if getattr(container, name, None) is None:
        return label + ' is missing'
    return label + ' is no function'


@command(
    b'debuguilog',
    cmdutil.formatteropts,
    _(b'[-T TEMPLATE]'),
    optionalrepo=True,
)
def debuguilog(ui, repo, **opts):
    """show what uilog does and what it could not do

    Shows the version, which sinks are in use, where each setting comes from,
    the dispatcher (which is started, to see whether that works), and what has
    been lost or has failed: in this process, and, from a journal in the
    user's state directory, in earlier ones. If uilog is switched off, shows by
    what, and nothing else.
    """
    why = cause(ui)
    if why is None:
        loadparts()
        try:
            report = part('report')
        except Exception as err:
            _fail(ui, err)
            why = _failure
        else:
            return report.show(ui, opts)
    fm = ui.formatter(b'debuguilog', pycompat.byteskwargs(opts))
    fm.startitem()
    fm.write(b'switchedoff', b'uilog is switched off: %s\n', why)
    fm.end()
    return 1 if _failure is not None else 0
