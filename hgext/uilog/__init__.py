# uilog - event logging that a command never notices
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""log hg's events to scripts and to the blackbox, without hg noticing

Mercurial tells its extensions what it does: that a command begins
(``command``) and ends (``commandfinish``), that a hook has run (``exthook``),
that a command failed unexpectedly (``commandexception``), and so on. This
extension runs a script for each such event, as the ``logtoprocess`` extension
does, but never slows down, changes or hangs the command::

  [extensions]
  uilog =

  [logtoprocess]
  commandfinish = /usr/local/bin/record-command

There is no need to enable ``logtoprocess`` as well. If it is, uilog takes its
place: each event runs its script once.

A script is text for ``/bin/sh -c``. It runs in hg's working directory,
detached from hg and its terminal, with standard input and output at
``/dev/null``. What it writes to standard error is shown by :hg:`debuguilog` if
it fails (the last 4 KB, without secrets). It finds in its environment:

``EVENT``
  The event's name.
``MSG1``
  The message, cut at 100,000 bytes.
``OPT_<KEY>``
  Each option of the event, such as ``OPT_RETURN_CODE``, ``OPT_DURATION`` and
  ``OPT_CANONICAL_COMMAND`` for ``commandfinish``. A key that no shell
  variable can be named after is there a second time with ``_`` in place of
  the offending characters.
``HGPID``, ``HG``
  hg's process, and hg's executable.
``UILOG_EVENT_ID``, ``UILOG_SESSION``, ``UILOG_TIME``
  A unique name for the event and for the hg process, and when it happened
  (RFC 3339, with microseconds).
``UILOG_DEPTH``
  How many scripts are around this one, itself included. A script that runs
  hg, whose events run the script, ends at a depth of 5.
``UILOG_TRUNCATED``
  Only if the system's limits made it necessary to cut values: which.

A script that wants everything, uncut, can read it as one line of JSON::

  [logtoprocess]
  commandfinish = record-json
  commandfinish:stdin = json

Scripts start in the order of their events. These settings bound them::

  [uilog]
  # how many scripts of one hg process run at a time
  max-scripts = 8
  # after how many seconds a script is ended (0: never)
  script-timeout = 600
  # how much memory events may take that wait for a script to end
  queue-size = 64 MB
  # for how long an ssh connection that is being closed may say nothing (in
  # seconds) before it is ended (0: for ever)
  peer-timeout = 5
  # how long the end of an ssh connection may take, whatever its server still
  # says (in seconds; 0: without end)
  peer-close-max = 30
  # whether one process per user delivers the records of all its commands to
  # structured sinks, instead of one process for each command
  agent = yes
  # how much memory the records of all commands may take that wait for it
  agent-queues-size = 256 MB
  # for how many seconds at most a command waits at its end until what it has
  # logged is delivered (no: never; auto: 1, if a container ends with it and
  # there is a collector)
  deliver-before-exit = auto

Connections to ssh peers that a command has left open are closed before its
end is logged. For each connection there is an event, ``peerclose``, with the
options ``url``, ``duration``, ``outcome`` (``closed``, ``timeout``, ``cut``,
``killed``, ``interrupted``, ``foreign-fork``), ``leaked`` and ``exit_code``.

With the ``blackbox`` extension, uilog writes ``.hg/blackbox.log``: the same
lines, configured by the same keys, but no line is lost when many processes
rotate the file, and nothing that is in its place can hang hg. See
:hg:`help blackbox` for how to read it::

  [extensions]
  blackbox =

Events go to log daemons and collectors as well, as structured records without
passwords, tokens and commit messages. Each sink has a name and a URL, and says
which events it wants::

  [uilog]
  # a collector of OpenTelemetry: each command is a span
  sink.fleet = otlp:https://collector.example:4318
  sink.fleet:track = commandfinish, commandlost, commandexception, exthook
  # lines of JSON
  sink.audit = file:~/log/hg-%Y-%m-%d.jsonl
  # the local syslog daemon
  sink.desk = syslog:
  # whoever listens there
  sink.agent = unix:$XDG_RUNTIME_DIR/hg-events.sock

Of a command line, sinks that leave the machine (``otlp:``, ``syslog+tcp:``,
``syslog+tls:``) are told what is known to be harmless: the command, the names
of its options, revisions, numbers and paths. ``<message>``, ``<value>`` and the
like stand for everything else. ``sink.NAME:argv = redacted``, the default of
local sinks, tells all but what looks like a secret.

``sink.NAME:rollup = status, identify`` tells (unless ``agent = no``)
one record a minute of these commands, with how many there were, how many failed
and how long they took, instead of one for each.

If a command is killed, there is no ``commandfinish``. Sinks get ``commandlost``
in its place, with the options ``canonical_command``, ``duration``, ``began``,
``cause`` (``signal`` or ``unknown``) and ``signal``: at once, or when the next
command runs. Scripts are not run for it.

What a collector does not take waits on disk (``uilog spool``). With such a
sink, ``TRACEPARENT`` in the environment is continued, and hooks and scripts
find the command's own.

Whatever goes wrong with logging has no effect on the command. It is counted,
shown by :hg:`debuguilog`, and at once with ``--debug``: sinks that lead
nowhere, settings and options that do not exist, events of which only a similar
name is known, and scripts that have failed while the command ran.

The program ``uilog`` comes along: ``uilog check`` finds what is wrong with the
configuration, ``uilog status`` shows what runs and what has failed, ``uilog
spool`` what waits for collectors, ``uilog run -- COMMAND`` logs rhg or any
other program, ``uilog emit`` an event of your own.

To switch all of this off, set ``UILOG=off`` in the environment, or say in any
configuration file that hg trusts::

  [uilog]
  enabled = no

Then hg runs as if uilog were not installed, and :hg:`debuguilog` names what has
switched it off. ``logtoprocess`` and ``blackbox``, if they are enabled, do
what they do without uilog. A running :hg:`serve` has to be started anew.
"""

from __future__ import annotations

import functools
import importlib
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

testedwith = b'6.3 6.9 7.0 7.2'
if b'exp-archived-phase' not in configitems.coreitems.get(b'format', {}):
    # This setting is new in hg 6.3. Wherever there is a minimumhgversion, hg
    # finds out its own, which costs as much as all that is done in here.
    minimumhgversion = b'6.3'

cmdtable: dict = {}
command = registrar.command(cmdtable)

# What our logger is called, by which a ui knows its configuration.
LOGGER = b'uilog'
# The stock extension, and what it calls its logger.
STOCK = b'logtoprocess'
BLACKBOX = b'blackbox'

# What may switch uilog off. Whether it does, `brake` decides.
BRAKE_VARIABLE = 'UILOG'
BRAKE_SECTION = b'uilog'
BRAKE_ITEM = b'enabled'

# By which `uilog run` tells its command that it is being watched.
RUN_VARIABLE = 'UILOG_RUN'
# By which chg tells the server that it starts.
CHG_VARIABLE = 'CHGINTERNALMARK'

_stocklog = getattr(uimod.ui, 'log', None)

# Why uilog cannot be loaded, and so is off until this process ends.
_failure = None

# Whether it was switched off when hg set its extensions up, and so stays off.
_isoff = False

# The repositories that are in use, by their roots.
repos: weakref.WeakValueDictionary = weakref.WeakValueDictionary()

# All parts, those first that others need. A part is a module of ours that is
# loaded when it is needed for the first time: most commands need none, and each
# costs all commands. Once anything is to be logged, or a connection is opened,
# the native module and `events` are loaded; `brake` needs neither.
PARTS = (
    'brake',
    'events',
    'blackbox',
    'trace',
    'checkout',
    'peers',
    'report',
    'history',
)

# The parts that are loaded, and set up.
_parts: dict = {}

# Faults before the native module was there to count them, and how many.
_uncounted: list = []
MAX_UNCOUNTED = 10

# What is off because Mercurial lacks something: its label, and what it lacks.
missing: list = []
OFF = 'off: %s (%s)'

# Lazy modules whose loading is awaited.
pending: list = []

# hg: demandimport makes lazy modules with importlib's LazyLoader
LAZY = '_LazyModule'


def uisetup(ui):
    """touch what must be touched in any case, unless uilog is switched off

    All else is done by parts, which most commands do not need.
    """
    global _isoff
    maybeoff = CHG_VARIABLE in os.environ or _maybeoff(ui)
    if maybeoff and part('brake').uisetup(ui):
        _isoff = True
        return
    _registeritems(ui)
    log = find('traces', uimod.ui, 'log')
    # Without, hg itself calls our logger.
    if log is not None:
        uimod.ui.log = _wraplog(log)
    nested = late('peers', 'nested')
    wrap('nested commands', (dispatch, 'dispatch', nested))
    for label, module, func in (
        ('other peers', _factory(), _wrapfactory),
        ('ssh peers', findmodule('ssh peers', 'sshpeer'), _wrapssh),
        ('servers', findmodule('servers', 'server'), _prepareserver),
    ):
        if module is not None:
            whenloaded(label, module, func)
    extensions.afterloaded(STOCK, _replacestock)
    extensions.afterloaded(BLACKBOX, _replaceblackbox)
    # chg's server is told by its environment what it is, but not for long. Of
    # what runs no command it is not known how long it runs.
    if CHG_VARIABLE in os.environ or not isincommand():
        loadparts()


def cause(ui):
    """by what uilog is switched off for what this ui is used for, or None"""
    if _failure is None and (_isoff or _maybeoff(ui)):
        try:
            return part('brake').cause(ui)
        except Exception as err:
            _fail(ui, err)
    return _failure


def _maybeoff(ui):
    return BRAKE_VARIABLE in os.environ or ui.hasconfig(
        BRAKE_SECTION, BRAKE_ITEM
    )


def _fail(ui, err):
    """go on without uilog, which cannot be loaded"""
    global _failure
    why = stringutil.forcebytestr(err)
    # hg: extensions.loadall
    ui.warn(_(b'*** failed to import extension "uilog": %s\n') % why)
    ui.traceback()
    _failure = b'it cannot be loaded: %s' % why


def isincommand():
    """whether a command has loaded us"""
    return any(True for _frame in dispatchframes())


def dispatchframes():
    """the calls of hg's dispatch that have led here, the innermost first"""
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


def _registeritems(ui):
    known = ui._knownconfig
    for section in (b'uilog', STOCK):
        if section not in known:
            items = known[section] = _Items()
            items.section = section


def _filling(name):
    def method(self, *args):
        self.__class__ = configitems.itemregister
        tryto(_fill, self)
        return getattr(self, name)(*args)

    return method


class _Items(configitems.itemregister):
    """a section's items, which are made when one is asked for

    Few commands ask; those of all extensions are made for every command.
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
        # An event may have any name, and sub-options beside it.
        configitem(section, b'.*', default=None, generic=True)
    else:
        configitem(section, rb'sink\..*', default=None, generic=True)
        for name, default in part('_native').ITEMS:
            configitem(section, name.encode(), default=default.encode())
    items.update(table[section])


# The logger of a ui for which nothing is to be logged. No class of our own:
# each one that is made costs as much as ten functions.
def _idlelogger(root):
    return types.SimpleNamespace(
        root=root, tells_traces=False, tracked=_tracksnothing
    )


def _tracksnothing(event):
    return False


def uipopulate(ui):
    if cause(ui) is not None:
        # It may be the copy of a ui that is not switched off.
        ui._loggers.pop(LOGGER, None)
        return
    tryto(_populate, ui)


def _populate(ui):
    if not _iswanted(ui):
        before = ui.getlogger(LOGGER)
        root = before.root if before is not None else None
        ui.setlogger(LOGGER, _idlelogger(root))
        ui._loggers.pop(STOCK, None)
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
    events.populate(ui)


def _iswanted(ui):
    """whether anything may have to be logged for a ui"""
    return (
        ui.debugflag
        or RUN_VARIABLE in os.environ
        or ui.configitems(b'uilog')
        or ui.configitems(STOCK)
    )


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
    """ui.log until anything is to be logged

    It makes way for that of `events`, unless another extension has wrapped it.
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
                return orig(ui, event, msgfmt, *msgargs, **opts)
            if uimod.ui.log is log:
                uimod.ui.log = full
        return full(ui, event, msgfmt, *msgargs, **opts)

    return log


def part(name):
    """a part of uilog, which is loaded if it is not yet

    The native module and `events` always come with it, except with `brake`:
    they may be what is broken. Raises if it cannot be loaded; the next call
    tries again.
    """
    found = _parts.get(name)
    if found is not None:
        return found
    if name == 'brake':
        found = _parts[name] = _load(name)
        return found
    if '_native' not in _parts:
        _parts['_native'] = _loadnative()
        if name == '_native':
            return _parts[name]
    if name != 'events':
        part('events')
    found = _load(name)
    setup = getattr(found, 'setup', None)
    if setup is not None:
        setup()
    _parts[name] = found
    return found


def loaded(name):
    """a part of uilog if it is loaded, or None"""
    return _parts.get(name)


def loadparts():
    """load all parts, for a process that is to do without their files

    A server may run for weeks, while uilog is upgraded or removed.
    """
    for name in PARTS:
        tryto(part, name)


def _identity():
    """tells whether the files are those that have been loaded from"""
    status = os.stat(__file__)
    return status.st_dev, status.st_ino, status.st_mtime_ns


_OWN_IDENTITY = _identity()


def _load(name):
    """a module of ours, all of it or nothing

    Not lazy as what hg imports: a signal in the middle would leave the half of
    it behind.
    """
    if _identity() != _OWN_IDENTITY:
        raise ImportError('uilog has been upgraded since hg was started')
    with hgdemandimport.deactivated():
        return importlib.import_module('.' + name, __package__)


def _loadnative():
    # hg itself does not need it.
    with hgdemandimport.deactivated():
        import atexit
    native = _load('_native')
    native.setup(os.fsencode(native.__file__), procutil.hgexecutable)
    # The last resort: children that leave through os._exit do without.
    atexit.register(native.finish)
    for err in _uncounted:
        native.internal_fault(err)
    for label, problem in missing:
        native.part_off(OFF % (label, problem))
    return native


def late(name, func):
    """a wrapper: a function of a part that is loaded when it is first called"""

    def wrapper(orig, *args, **kwargs):
        try:
            wrapper = getattr(part(name), func)
        except Exception as err:
            fault(err)
            return orig(*args, **kwargs)
        return wrapper(orig, *args, **kwargs)

    return wrapper


def wrap(label, *wrapped):
    """wrap functions, each a container, a name and a wrapper

    All of them, or none if one is missing: then this part is off. Whether
    they are wrapped. A signal may have been in the way, so to wrap twice is to
    wrap once.
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
    """the function or class of this name; None, and the part is off, if there
    is none"""
    value = getattr(container, name, None)
    if callable(value):
        return value
    off(label, _whatiswrong(container, name))
    return None


def findmodule(label, name):
    """a module of Mercurial's; None, and the part is off, if that is missing"""
    full = 'mercurial.' + name
    try:
        # To import once more what hg has imported lazily would load it.
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
    """call func with a module as soon as it is more than a promise"""
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

        # No class of ours: each that is made costs as much as ten functions.
        spec.loader = types.SimpleNamespace(exec_module=execute)
        pending.append(lazy)
    except Exception as err:
        off(label, 'cannot tell whether %r is loaded: %s' % (lazy, err))


def tryto(func, *args):
    """call what must not make a command fail"""
    try:
        func(*args)
    except Exception as err:
        fault(err)


def fault(err):
    """count a fault of ours"""
    native = _parts.get('_native')
    if native is not None:
        native.internal_fault(err)
    elif len(_uncounted) < MAX_UNCOUNTED:
        # Not what its frames refer to.
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
