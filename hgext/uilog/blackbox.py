# blackbox.py - the blackbox, and Mercurial's other log files
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""writing hg's log files without hg noticing

Passes events to the loggers that are not uilog's. Replaces those of the stock
blackbox extension and of ``mercurial.loggingutil``: gets the facts for a line
from hg, passes them to the native module, and with --debug shows errors in hg's
own words. Defines the options of `hg blackbox`, which `history` implements.
"""

from __future__ import annotations

import os

from mercurial import (
    cmdutil,
    error,
    extensions,
    loggingutil,
    posix,
    pycompat,
    ui as uimod,
)
from mercurial.i18n import _
from mercurial.utils import dateutil, procutil, stringutil

from . import (
    LOGGER,
    STOCK as LOGTOPROCESS,
    _native,
    cause,
    events,
    find,
    off,
    part,
    wrap,
)

# The stock extension, and the names of its logger and its file.
STOCK = b'blackbox'
FILE = b'blackbox.log'

# A ui's attribute with its cached configuration.
_SETTINGS = '_uilogblackbox'

# hg's own functions; they are only called if tests have replaced them.
_getuser = getattr(posix, 'getuser', None)
_getpid = os.getpid

# Forwards to a logger that is set later.
proxylogger = loggingutil.proxylogger

# Only texts in hg's own catalogue, because each costs every command.
_DATE, _USER, _REV = _(b'DATE'), _(b'USER'), _(b'REV')

OPTIONS = [
    (b'', b'since', b'', b'show events of DATE or later', _DATE),
    (b'', b'until', b'', b'show events of DATE or earlier', _DATE),
    (b'', b'event', [], b'show events of this name', b'EVENT'),
    (b'', b'user', [], b'show events of commands run by USER', _USER),
    (b'', b'pid', [], b'show events of this process', b'PID'),
    (
        b'',
        b'command',
        [],
        b'show events of commands that match the pattern',
        b'GLOB',
    ),
    (b'', b'failed', None, b'show commands that failed'),
    (
        b'',
        b'slower',
        b'',
        b'show events that took SECONDS or longer',
        b'SECONDS',
    ),
    (
        b'r',
        b'rev',
        [],
        b'show events with one of the revisions as working directory parent',
        _REV,
    ),
    (b'f', b'follow', None, b'go on showing events as they are logged'),
]

# Not indented, because hg 6.3 shows it unchanged.
DOC = """

Shows the last events in the repository's blackbox, the oldest first,
10 of them or as many as -l/--limit says; 0 is all. Rotated log files
are read as well.

Options narrow down which events are shown. If one is given more than
once, any of its values will do; different options must all be met:

- --since and --until take dates (see :hg:`help dates`), and include all
  of the day, hour or minute that they name. ``-7`` is 7 days ago.
- --event takes the name of an event, such as ``command``,
  ``commandfinish``, ``commandexception``, ``exthook`` or ``incoming``.
  Where the log does not tell it (see ``blackbox.logsource``), it is
  guessed from the message.
- --command takes a pattern for the whole command line without ``hg``,
  where ``*`` stands for anything.
- --failed shows the ends of commands that returned something other than
  0, and of those that failed with an unexpected exception.
- -r/--rev also takes the full hash of a changeset that does not exist
  any more.

-f/--follow goes on showing events as they are logged, until it is
interrupted.

.. container:: verbose

  Template:

  The following keywords are supported. See also :hg:`help templates`.

  :command: String. The command line, without ``hg``.
  :damaged: Boolean. True if the log is damaged here.
  :date:    Date. When the event was logged.
  :dirty:   Boolean. True if the working directory had changes
            (``blackbox.dirty``).
  :duration: Float. Seconds.
  :event:   String. The event's name.
  :message: String. What was logged, of any number of lines.
  :parents: List of strings. The working directory's parents.
  :pid:     Integer. The process.
  :return_code: Integer. The command's return code.
  :source:  String. The name of the log file.
  :user:    String. Who ran the command.

  What is not known is empty (in JSON: null).

.. container:: verbose

  Examples:

  - what failed this week::

      hg blackbox --failed --since -7 -l 0

  - pulls that took longer than half a minute::

      hg blackbox --command "pull*" --event commandfinish --slower 30

  - what happened on a day::

      hg blackbox --since 2026-11-02 --until 2026-11-02 -l 0

  - when something ran on a changeset that has been stripped since::

      hg blackbox -l 0 -r 73f6ee326b27d820b0472f1a825e3a50f3dc489b

  - watch what hooks do::

      hg blackbox -f --event exthook --event pythonhook

  - the slowest commands, for a program::

      hg blackbox -l 0 --event commandfinish --slower 10 -Tjson

  - return codes and commands::

      hg blackbox --event commandfinish -T "{return_code} {command}\\n"

Returns 0 on success.
"""


def setup():
    filelogger = find('log files', loggingutil, 'filelogger')
    if filelogger is not None:
        wrap('log files', (filelogger, 'log', _filelog))


def replacestock():
    """replace the functions of the stock extension, which is loaded"""
    label = STOCK.decode()
    stock = extensions.find(STOCK)
    last = getattr(stock, '_lastlogger', None)
    if last is None:
        off(label, 'blackbox._lastlogger is missing')
    elif find(label, stock, 'blackboxlogger') and wrap(
        label,
        (uimod.ui, 'fixconfig', _changed),
        (uimod.ui, 'restoreconfig', _changed),
    ):
        Logger.last = last
        stock.blackboxlogger = _loggerfor(stock.blackboxlogger)
    _replacecommand(getattr(stock, 'cmdtable', {}))


def _loggerfor(stocklogger):
    """makes a repository's logger: uilog's, unless it is switched off there"""

    def make(ui, repo):
        isoff = cause(ui) is not None
        return (stocklogger if isoff else Logger)(ui, repo)

    return make


def _replacecommand(table):
    try:
        extensions.wrapcommand(table, STOCK, _show, docstring=DOC)
    except error.UnknownCommand:
        off('hg blackbox', 'blackbox.cmdtable lacks the command')
        return
    options = table[STOCK][1]
    names = {option[1] for option in options}
    for option in (*OPTIONS, *cmdutil.formatteropts):
        if option[1] not in names:
            options.append(option)


def _show(orig, ui, repo, *revs, **opts):
    """`hg blackbox`"""
    try:
        history = part('history')
    except Exception as err:
        # Stock hg's command would ignore the new options.
        why = stringutil.forcebytestr(err)
        raise error.Abort(_(b'cannot read the blackbox: %s') % why) from err
    return history.blackbox(orig, ui, repo, *revs, **opts)


def _changed(orig, self, *args, **kwargs):
    """forget the cached configuration of a ui"""
    self.__dict__.pop(_SETTINGS, None)
    return orig(self, *args, **kwargs)


class Logger:
    """a repository's blackbox, as a logger for ui.setlogger"""

    # The stock extension's fallback for a ui without a repository.
    last = proxylogger()

    def __init__(self, ui, repo):
        self._repo = repo
        self._isbusy = False
        self.file = _native.LogFile.of_blackbox(
            repo.vfs.join(FILE), _settings(ui), repo.vfs.createmode
        )
        self.tracked = self.file.__contains__

    def log(self, ui, event, msg, opts=None):
        # Reading this may log another event, through another
        # ui.
        if self._isbusy:
            return
        self._isbusy = True
        try:
            cached = ui.__dict__.get(_SETTINGS)
            if cached is None:
                cached = ui.__dict__[_SETTINGS] = _read(ui)
            settings, ismoving, isdirty = cached
            repo = self._repo
            try:
                # hg: as repo.dirstate, without a lookup in its classes
                dirstate = repo.__dict__.get('dirstate') or repo.dirstate
                parents = dirstate._pl
            except Exception as err:
                _native.line_fault(b'the parents cannot be read', err)
                parents = None
            values = None
            if (
                ismoving
                or isdirty
                or procutil.getuser is not _getuser
                or procutil.getpid is not _getpid
            ):
                values = (
                    isdirty and self._dirty(),
                    _unless(procutil.getuser, _getuser),
                    _unless(procutil.getpid, _getpid),
                    _date(ui) if ismoving else None,
                )
            problems = self.file.write_line(
                event, msg, settings, parents, values
            )
        finally:
            self._isbusy = False
        if problems is None or self._tell(ui, *problems):
            self.last.logger = self

    def _dirty(self):
        try:
            dirty = self._repo[None].dirty
            return bool(dirty(missing=True, merge=False, branch=False))
        except Exception as err:
            _native.line_fault(b'the status cannot be read', err)
            return False

    def _tell(self, ui, refused, warnings, shown):
        """report problems with a line; whether it was written"""
        for warning in warnings:
            ui.debug(warning)
        if refused is not None and refused[1] is not None:
            why = refused[1]
            ui.debug(b'warning: cannot write to %s: %s\n' % (FILE, why))
        if shown is not None:
            ui.write_err(shown)
        return refused is None


def wanting(ui, native, event, isinblackbox):
    """the loggers but ours that want an event, as `pass_on` takes them"""
    others = []
    for name, logger in ui._loggers.items():
        # The stock extension's would run each script again.
        if logger is native or name == LOGTOPROCESS:
            continue
        if type(logger) is proxylogger:
            logger = logger.logger
            if logger is None:
                continue
        isours = type(logger) is Logger
        try:
            if isours:
                wants = not isinblackbox and event in logger.file
            else:
                wants = logger.tracked(event)
            if wants:
                others.append((name, logger, isours))
        except Exception as err:
            events.foreignfault(ui, name, event, err)
    return others


def pass_on(others, ui, native, event, msg, opts):
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
                events.foreignfault(ui, name, event, err)
    finally:
        ui._loggers = loggers


def _unless(function, own):
    """its value, unless it is hg's own function"""
    return None if function is own else function()


def _read(ui):
    """the configuration of a ui for lines

    Its settings, whether the time is to be asked for each time, and whether
    the working directory's status is wanted.
    """
    settings = _settings(ui)
    fixed = ui.config(b'devel', b'default-date')
    ismoving = not settings.has_date and (fixed or _isclockreplaced())
    return settings, ismoving, settings.tells_dirty


def _settings(ui):
    # hg: debug.to-stderr is known since 6.4
    registered = ui._knownconfig.get(STOCK, ())
    items = [item for item in ui.configitems(STOCK) if item[0] in registered]
    fixed = ui.config(b'devel', b'default-date')
    return _native.BlackboxSettings(items, fixed)


def _isclockreplaced():
    """whether hg's clock was replaced, by a test"""
    return getattr(dateutil.makedate, '__module__', None) != dateutil.__name__


def _date(ui):
    """the time that replaces the clock, if any"""
    try:
        date = ui.configdate(b'devel', b'default-date')
        return date or dateutil.makedate()
    except Exception as err:
        _native.line_fault(b'devel.default-date', err)


def current(ui):
    """the blackbox logger that gets a ui's events, if any"""
    logger = ui.getlogger(STOCK)
    if type(logger) is proxylogger:
        logger = logger.logger
    return logger if isinstance(logger, Logger) else None


def faults(ui):
    """invalid values in the configuration: section, name, and what is wrong"""
    return _settings(ui).faults()


def _filelog(orig, self, *args, **kwargs):
    """loggingutil.filelogger.log"""
    if len(args) < 3:
        return orig(self, *args, **kwargs)
    ui, event, msg = args[:3]
    file = self.__dict__.get('_uilogfile')
    if file is None:
        vfs = self._vfs
        file = self._uilogfile = _native.LogFile(
            vfs.join(self._name),
            self._maxsize,
            self._maxfiles,
            vfs.createmode,
        )
    problems = file.write_file_line(
        event,
        msg,
        _unless(procutil.getpid, _getpid),
        dateutil.makedate() if _isclockreplaced() else None,
    )
    if problems is not None:
        refused, warnings, _shown = problems
        for warning in warnings:
            ui.debug(warning)
        if refused is not None and refused[1] is not None:
            code, why = refused
            why = OSError(code, os.fsdecode(why), file.path)
            ui.debug(
                b'cannot write to %s: %s\n'
                % (self._name, stringutil.forcebytestr(why))
            )
