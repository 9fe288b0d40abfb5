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
  agent = no

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
  sink.fleet:track = commandfinish, commandexception, exthook
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
"""

from __future__ import annotations

import atexit
import functools
import os

from mercurial import (
    cmdutil,
    extensions,
    loggingutil,
    pycompat,
    registrar,
    ui as uimod,
    util,
)
from mercurial.i18n import _
from mercurial.utils import procutil

from . import _native, blackbox, checkout, history, peers, report, trace, wraps

testedwith = b'6.3 6.9 7.0 7.2'
minimumhgversion = b'6.3'

cmdtable: dict = {}
command = registrar.command(cmdtable)

configtable: dict = {}
configitem = registrar.configitem(configtable)

for _name, _default in _native.ITEMS:
    configitem(b'uilog', _name.encode(), default=_default.encode())
configitem(b'uilog', rb'sink\..*', default=None, generic=True)
# An event may have any name, and sub-options beside it.
configitem(b'logtoprocess', b'.*', default=None, generic=True)

# By which `uilog run` tells its command that it is being watched.
RUN_VARIABLE = 'UILOG_RUN'

LOGGER = report.LOGGER
# The stock extension, and what it calls its logger.
STOCK = b'logtoprocess'

_stocklog = getattr(uimod.ui, 'log', None)
# Loaded now and not, as Mercurial's imports are, when it is first needed: then
# there may be no descriptor left to load it, and a signal may leave the half.
_tellproblems = report.problems
_endtrace = trace.end
_tryto = wraps.tryto
_gethead = checkout.head


def uisetup(ui):
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
    if ui.getlogger(LOGGER) is None:
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
            return orig(ui, event, msgfmt, *msgargs, **opts)
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
    user's state directory, in earlier ones.
    """
    return report.show(ui, opts)
