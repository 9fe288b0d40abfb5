# report.py - what uilog tells about itself
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""showing problems with --debug, and `hg debuguilog`

Nothing here decides anything: the state is the native module's.
"""

from __future__ import annotations

from mercurial import encoding, pycompat

from . import _native, blackbox

# What our logger is called, by which a ui knows its configuration.
LOGGER = b'uilog'

# The most failures of earlier processes that are shown.
SHOWN_FAILURES = 10

# Configuration faults that have been told: uis are populated again and again.
_told = set()

# Set while problems are being told: telling them is an event, too.
_telling = False


def configfaults(ui, logger):
    """tell with --debug what the configuration says that is not understood"""
    for section, name, problem in _faults(ui, logger):
        source = ui.configsource(_bytes(section), _bytes(name))
        fault = b'%s: %s.%s: %s' % (
            source,
            _bytes(section),
            _bytes(name),
            _bytes(problem),
        )
        if fault not in _told:
            _told.add(fault)
            _debug(ui, fault)


def _faults(ui, logger):
    """what is not understood: section, name, and what is wrong"""
    return [*logger.faults(), *blackbox.faults(ui)]


def problems(ui):
    """tell with --debug what has gone wrong since the last time"""
    global _telling
    if not ui.debugflag or _telling:
        return
    _telling = True
    try:
        for problem in _native.take_unseen():
            _debug(ui, _bytes(problem))
    finally:
        _telling = False


def _debug(ui, text):
    try:
        ui.debug(b'uilog: %s\n' % text)
    except Exception:
        # hg's output is broken; hg itself will find out.
        pass


def show(ui, opts):
    """print the state, as text or by a template"""
    logger = ui.getlogger(LOGGER)
    status = logger.status(probe=True)
    dispatcher = status['dispatcher']
    fm = ui.formatter(b'debuguilog', pycompat.byteskwargs(opts))
    fm.startitem()
    fm.write(b'version', b'version: %s\n', _bytes(_native.VERSION))
    fm.write(b'session', b'session: %s\n', _bytes(status['session']))
    _showsinks(ui, fm, logger)
    _showsettings(ui, fm)
    _showscripts(ui, fm)
    _showlog(ui, fm)
    _showfaults(ui, fm, logger)
    _showdispatcher(fm, dispatcher)
    _showdict(fm, b'counters', status['counters'])
    _showdict(fm, b'peers', status['peers'])
    recent = [_bytes(problem) for problem in status['recent']]
    fm.plain(b'problems: %d\n' % len(recent))
    for problem in recent:
        fm.plain(b'  %s\n' % problem)
    fm.data(problems=fm.formatlist(recent, name=b'problem'))
    _showjournal(fm, status)
    fm.end()
    return 1 if dispatcher['problem'] else 0


def _showsinks(ui, fm, logger):
    sinks = [_bytes(name) for name in logger.sinks()]
    if blackbox.current(ui) is not None:
        sinks.append(blackbox.STOCK)
    fm.plain(b'sinks: %s\n' % (b', '.join(sinks) or b'none'))
    fm.data(sinks=fm.formatlist(sinks, name=b'sink'))
    nested = fm.nested(b'urls')
    for name, url in logger.urls():
        nested.startitem()
        nested.write(
            b'name url source',
            b'  uilog.%s = %s (%s)\n',
            _bytes(name),
            _bytes(url),
            ui.configsource(b'uilog', _bytes(name)),
        )
    nested.end()


def _showsettings(ui, fm):
    nested = fm.nested(b'settings')
    fm.plain(b'settings:\n')
    for name, _default in _native.ITEMS:
        value = ui.config(b'uilog', _bytes(name))
        source = ui.configsource(b'uilog', _bytes(name))
        nested.startitem()
        nested.write(
            b'name value source',
            b'  uilog.%s = %s (%s)\n',
            _bytes(name),
            value,
            source or b'default',
        )
    nested.end()


def _showscripts(ui, fm):
    nested = fm.nested(b'scripts')
    items = ui.configitems(b'logtoprocess')
    fm.plain(b'scripts:%s\n' % (b'' if items else b' none'))
    for name, value in items:
        nested.startitem()
        nested.write(
            b'name value source',
            b'  logtoprocess.%s = %s (%s)\n',
            name,
            value,
            ui.configsource(b'logtoprocess', name),
        )
    nested.end()


def _showlog(ui, fm):
    """the blackbox that events of this ui go to"""
    log = blackbox.current(ui)
    if log is None:
        return
    off = log.file.off
    state = b'off: %s' % off if off is not None else b'on'
    fm.plain(b'blackbox: %s\n  %s\n' % (state, log.file.path))
    fm.data(blackbox=log.file.path, blackboxstate=state)


def _showfaults(ui, fm, logger):
    nested = fm.nested(b'configfaults')
    for section, name, problem in _faults(ui, logger):
        section, name = _bytes(section), _bytes(name)
        nested.startitem()
        nested.write(
            b'section name problem source',
            b'  %s.%s: %s (%s)\n',
            section,
            name,
            _bytes(problem),
            ui.configsource(section, name),
        )
    nested.end()


def _showdispatcher(fm, dispatcher):
    values = dict(dispatcher)
    problem = values.pop('problem')
    state = 'does not work: %s' % problem if problem else 'running'
    _showdict(fm, b'dispatcher', {'state': state, **values})


def _showdict(fm, name, values):
    nested = fm.nested(name)
    fm.plain(b'%s:\n' % name)
    nested.startitem()
    for key, value in values.items():
        if value is None:
            value = b''
        elif isinstance(value, str):
            value = _bytes(value)
        form = b'  %s: %%%s\n' % (
            _bytes(key),
            b'd' if isinstance(value, int) else b's',
        )
        nested.write(_bytes(key.replace('-', '')), form, value)
    nested.end()


def _showjournal(fm, status):
    groups = status['failures']
    count = sum(group['count'] for group in groups)
    lost = sum(group['lost'] for group in groups)
    problem = _bytes(status['journal-problem'] or '')
    fallback = status['journal-fallback'] or b''
    fm.plain(b'journal: %s\n' % (status['journal'] or b'none'))
    if problem:
        fm.plain(b'  cannot be used: %s\n' % problem)
        fm.plain(b'  meanwhile: %s\n' % (fallback or b'none'))
    fm.plain(b'  failures: %d\n  events lost: %d\n' % (count, lost))
    fm.data(
        journal=status['journal'] or b'',
        journalproblem=problem,
        journalfallback=fallback,
    )
    nested = fm.nested(b'failures')
    for group in groups[-SHOWN_FAILURES:]:
        nested.startitem()
        nested.write(
            b'time kind event detail',
            b'  %s %s %s %s',
            *(_bytes(group[k]) for k in ('time', 'kind', 'event', 'detail')),
        )
        count = group['count']
        nested.condwrite(count > 1, b'count', b' (%d times)', count)
        nested.plain(b'\n')
        nested.data(
            first=_bytes(group['first']),
            session=_bytes(group['session']),
            lost=group['lost'],
        )
    nested.end()


def _bytes(text):
    """text of the native module, which may hold anything, for hg"""
    try:
        return encoding.strtolocal(text)
    except Exception:
        return text.encode('utf-8', 'replace')
