# report.py - what uilog reports about itself
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""showing problems with --debug, and `hg debuguilog`

Must not decide anything: the native module has the state.
"""

from __future__ import annotations

import re

from mercurial import encoding, pycompat

from . import _native, blackbox, events, missing, part, pending, tryto

# Maximum number of failures of earlier processes that are shown.
SHOWN_FAILURES = 10

# Time limit for `uilog check`, which is run to check the sinks.
CHECK_SECONDS = 5

# Configuration faults that have been shown, because a ui is populated often.
_told = set()

# Control characters for terminals, in UTF-8 and other encodings.
_CONTROLS = re.compile(rb'[\x00-\x1f\x7f]|\xc2[\x80-\x9f]')

# Set while problems are shown, because showing them logs an event, too.
_telling = False


def configfaults(ui, logger):
    """show with --debug invalid values in the configuration"""
    problem = part('brake').variableproblem()
    if problem is not None:
        _tellonce(ui, problem)
    for section, name, problem in _faults(ui, logger):
        source = ui.configsource(_bytes(section), _bytes(name))
        fault = b'%s: %s.%s: %s' % (
            source,
            _bytes(section),
            _bytes(name),
            _bytes(problem),
        )
        _tellonce(ui, fault)


def _tellonce(ui, fault):
    if fault not in _told:
        _told.add(fault)
        _debug(ui, fault)


def _faults(ui, logger):
    """invalid values: section, name, and what is wrong"""
    hints = _native.config_hints(
        ui.configitems(b'uilog'),
        ui.configitems(b'logtoprocess'),
    )
    # If there is a hint, it says more.
    faults = {
        (section, name): problem
        for section, name, problem in [*logger.faults(), *hints]
    }
    return [
        *((*item, problem) for item, problem in faults.items()),
        *blackbox.faults(ui),
    ]


def problems(ui):
    """show with --debug new problems"""
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
        # Not ui.debug: a command's standard output may be read by a program.
        ui.warn(b'uilog: %s\n' % _visible(text))
    except Exception:
        # hg's output is broken; hg itself will find out.
        pass


def show(ui, opts):
    """print the state, as text or by a template"""
    logger = events.logger(ui)
    queuedir = ui.config(b'uilog', b'queue-dir')
    status = logger.status(probe=True, queue_dir=queuedir)
    dispatcher = status['dispatcher']
    fm = _Text(ui.formatter(b'debuguilog', pycompat.byteskwargs(opts)))
    fm.startitem()
    fm.write(b'version', b'version: %s\n', _bytes(_native.VERSION))
    fm.write(b'session', b'session: %s\n', _bytes(status['session']))
    fm.data(switchedoff=None)
    problem = part('brake').variableproblem()
    fm.condwrite(problem, b'variableproblem', b'%s\n', problem)
    _showsinks(ui, fm, logger, dispatcher['program'])
    redacted = _redacting(dispatcher['program'])
    _showsettings(ui, fm, redacted)
    _showscripts(ui, fm, redacted)
    _showlog(ui, fm)
    _showfaults(ui, fm, logger)
    _showoff(fm)
    _showdispatcher(fm, dispatcher)
    _showdict(fm, b'records', status['records'])
    _showcauses(fm, status['causes'])
    _showdict(fm, b'counters', status['counters'])
    _showdict(fm, b'peers', status['peers'])
    recent = [_bytes(problem) for problem in status['recent']]
    fm.plain(b'problems: %d\n' % len(recent))
    for problem in recent:
        fm.plain(b'  %s\n' % _visible(problem))
    fm.data(problems=fm.formatlist(recent, name=b'problem'))
    _showjournal(fm, status)
    fm.end()
    return 1 if dispatcher['problem'] else 0


def _showsinks(ui, fm, logger, program):
    sinks = [_bytes(name) for name in logger.sinks()]
    if blackbox.current(ui) is not None:
        sinks.append(blackbox.STOCK)
    fm.plain(b'sinks: %s\n' % (_visible(b', '.join(sinks)) or b'none'))
    fm.data(sinks=fm.formatlist(sinks, name=b'sink'))
    urls = logger.urls()
    broken = _broken(ui, logger, program) if urls else {}
    nested = fm.nested(b'urls')
    for name, url in urls:
        nested.startitem()
        nested.write(
            b'name url source',
            b'  uilog.%s = %s (%s)\n',
            _bytes(name),
            _bytes(url),
            ui.configsource(b'uilog', _bytes(name)),
        )
        problem = _bytes(broken.get(name, ''))
        if problem:
            nested.plain(b'    broken: %s\n' % problem)
        nested.data(problem=problem)
    nested.end()


def _broken(ui, logger, program):
    """why sinks cannot be used, by their names

    What does not depend on the system is known here; for the rest the binary is
    asked, which has the code of the sinks.
    """
    try:
        broken = _check(ui, program)
    except Exception as err:
        why = 'not known: %s check: %s' % (_text(program), err)
        broken = {name: why for name, _url in logger.urls()}
    for section, name, problem in _faults(ui, logger):
        if section == 'uilog' and ':' not in name and name.startswith('sink.'):
            broken[name] = problem
    return broken


def _check(ui, program):
    import json
    import os
    import subprocess
    import tempfile

    lines = [b'[uilog]']
    for name, value in ui.configitems(b'uilog'):
        # hg: an indented line continues the value before it
        lines.append(name + b' = ' + value.replace(b'\n', b'\n  '))
    # Only this process can read it. A pipe would stay open in child processes.
    with tempfile.TemporaryDirectory(prefix='uilog.') as directory:
        hgrc = os.path.join(directory, 'hgrc')
        with open(hgrc, 'wb') as file:
            file.write(b'\n'.join(lines) + b'\n')
        with open(os.path.join(directory, 'out'), 'w+b') as out:
            subprocess.run(
                [program, 'check', '-T', 'json'],
                check=False,
                cwd=directory,
                env={**os.environ, 'HGRCPATH': hgrc},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                timeout=CHECK_SECONDS,
            )
            out.seek(0)
            checked = json.load(out)
    broken = {}
    for sink in checked['sinks']:
        if not sink['usable']:
            name = 'sink.' + sink['name']
            prefix = 'uilog.%s: ' % name
            texts = [
                finding['text'].removeprefix(prefix)
                for finding in checked['findings']
                if finding['severity'] == 'error'
                and finding['text'].startswith(prefix)
            ]
            broken[name] = texts[0] if texts else 'it cannot be opened'
    return broken


def _redacting(program):
    """redacts a list of texts by running the binary

    Users paste the output of this command into tickets. Only the binary has
    the rules; if it cannot be run, the texts are not shown.
    """
    import subprocess

    def redacted(texts):
        if not texts:
            return texts
        try:
            done = subprocess.run(
                [program, 'redact'],
                check=True,
                input=b''.join(text + b'\0' for text in texts),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=CHECK_SECONDS,
            )
        except (OSError, subprocess.SubprocessError):
            return [b'<not shown>'] * len(texts)
        return done.stdout.split(b'\0')

    return redacted


def _showsettings(ui, fm, redacted):
    nested = fm.nested(b'settings')
    fm.plain(b'settings:\n')
    names = [name for name, _default in _native.ITEMS]
    values = redacted([ui.config(b'uilog', _bytes(name)) for name in names])
    for name, value in zip(names, values):
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


def _showscripts(ui, fm, redacted):
    nested = fm.nested(b'scripts')
    items = ui.configitems(b'logtoprocess')
    fm.plain(b'scripts:%s\n' % (b'' if items else b' none'))
    values = redacted([value for _name, value in items])
    for (name, _value), value in zip(items, values):
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
    """show the blackbox that gets events of this ui"""
    log = blackbox.current(ui)
    if log is None:
        return
    off = log.file.off
    state = b'off: %s' % off if off is not None else b'on'
    shown = (_visible(state), _visible(log.file.path))
    fm.plain(b'blackbox: %s\n  %s\n' % shown)
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


def _loadpending():
    """load modules that are to be wrapped, to find out what is missing"""
    work = part('work')
    tryto(work.watchclone)
    tryto(work.watchworkers)
    for lazy in pending:
        tryto(getattr, lazy, '__name__')
        # An attribute that importlib itself sets does not load a module.
        tryto(getattr, lazy, '__doc__')
    del pending[:]


def _showoff(fm):
    """show parts of uilog that this version of Mercurial does not support"""
    _loadpending()
    nested = fm.nested(b'off')
    for label, problem in missing:
        nested.startitem()
        nested.write(
            b'part problem',
            b'off: %s (%s)\n',
            _bytes(label),
            _bytes(problem),
        )
    nested.end()


def _showdispatcher(fm, dispatcher):
    values = dict(dispatcher)
    problem = values.pop('problem')
    state = 'does not work: %s' % problem if problem else 'running'
    _showdict(fm, b'dispatcher', {'state': state, **values})


def _showcauses(fm, causes):
    """why this process has lost deliveries"""
    nested = fm.nested(b'causes')
    fm.plain(b'lost by cause:%s\n' % (b'' if causes else b' nothing'))
    for cause, count in causes:
        nested.startitem()
        nested.write(b'count cause', b'  %d: %s\n', count, _bytes(cause))
    nested.end()


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
    fm.plain(b'journal: %s\n' % _visible(status['journal'] or b'none'))
    if problem:
        fm.plain(b'  cannot be used: %s\n' % problem)
        fm.plain(b'  meanwhile: %s\n' % _visible(fallback or b'none'))
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
        for line in group['lines']:
            nested.plain(b'    %s\n' % _visible(_bytes(line)))
        nested.data(
            first=_bytes(group['first']),
            session=_bytes(group['session']),
            lost=group['lost'],
            status=group['status'],
            duration=group['duration'],
            **{
                name: _bytes(group[name] or '')
                for name in ('source', 'repository', 'cwd', 'signal', 'stderr')
            },
        )
    nested.end()


def _visible(text):
    """the bytes in one line, with nothing in them that a terminal would obey:
    paths and names may be anybody's"""
    return _CONTROLS.sub(_escaped, text)


def _escaped(match):
    return b'\\x%02x' % match[0][-1]


class _Text:
    """a formatter that shows values as text for people; other formats get them
    as they are"""

    def __init__(self, fm):
        self._fm = fm
        self._isplain = fm.isplain()

    def __getattr__(self, name):
        return getattr(self._fm, name)

    def nested(self, field):
        return _Text(self._fm.nested(field))

    def write(self, fields, deftext, *values):
        if self._isplain:
            values = tuple(
                _visible(value) if isinstance(value, bytes) else value
                for value in values
            )
        self._fm.write(fields, deftext, *values)


def _text(path):
    return path if isinstance(path, str) else encoding.strfromlocal(path)


def _bytes(text):
    """any text of the native module, as bytes for hg"""
    try:
        return encoding.strtolocal(text)
    except Exception:
        return text.encode('utf-8', 'replace')
