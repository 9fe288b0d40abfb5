# history.py - reading the blackbox
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""`hg blackbox` with more options, and through rotated files

Replaces the stock extension's command, whose options `blackbox` defines. This
module interprets the options; the native module selects the events.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time

from mercurial import (
    encoding,
    error,
    pycompat,
)
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from . import LOGGER, _native

# The stock extension, its command and its file.
STOCK = b'blackbox'
FILE = b'blackbox.log'

# Seconds between two checks for new events. A check costs less than 0.1 ms.
FOLLOW_PAUSE = 0.1

DAY = 24 * 60 * 60


def blackbox(orig, ui, repo, *revs, **opts):
    if ui.getlogger(LOGGER) is None:
        # A server's command for which uilog is not enabled.
        return orig(ui, repo, *revs, **opts)
    byteopts = pycompat.byteskwargs(opts)
    filters = _filters(repo, byteopts)
    follow = bool(byteopts.get(b'follow'))
    template = byteopts.get(b'template')
    history = _native.History(
        repo.vfs.join(FILE),
        date_format=ui.config(b'blackbox', b'date-format') or b'',
        limit=_limit(byteopts),
        as_events=bool(template),
        follow=follow,
        count_damaged=ui.debugflag,
        **filters,
    )
    for path, errno in history.unreadable():
        reason = encoding.strtolocal(os.strerror(errno))
        ui.warn(_(b'warning: cannot read %s: %s\n') % (path, reason))
    try:
        if template:
            _showevents(ui, history, byteopts, follow)
        else:
            _showtext(ui, history, follow)
    finally:
        if filters or template or ui.debugflag:
            _warn(ui, history)
    if filters and not follow and not ui.quiet:
        _telltherest(ui, history)


def _telltherest(ui, history):
    """say how many events -l/--limit has left out"""
    more = history.left_out()
    if more:
        ui.flush()
        ui.warn(_(b'%d more (-l 0 shows all)\n') % more)


def _warn(ui, history):
    damaged = history.damaged()
    if damaged == 1:
        ui.warn(_(b'warning: 1 damaged line\n'))
    elif damaged:
        ui.warn(_(b'warning: %d damaged lines\n') % damaged)
    undated = history.undated()
    if undated == 1:
        msg = _(b'warning: 1 event left out, its date cannot be read\n')
        ui.warn(msg)
    elif undated:
        msg = _(b'warning: %d events left out, their dates cannot be read\n')
        ui.warn(msg % undated)


def _showtext(ui, history, follow):
    while True:
        text = history.next_text()
        while text is not None:
            if text:
                ui.status(text)
            text = history.next_text()
        if not follow:
            return
        _wait(ui, history)


def _showevents(ui, history, opts, follow):
    fm = ui.formatter(STOCK, opts)
    try:
        while True:
            events = history.next_events()
            while events is not None:
                for event in events:
                    _showevent(fm, event)
                events = history.next_events()
            if not follow:
                break
            _complete(fm)
            _wait(ui, history)
    except KeyboardInterrupt:
        # The output so far must be complete.
        fm.end()
        raise
    fm.end()


def _wait(ui, history):
    ui.flush()
    time.sleep(FOLLOW_PAUSE)
    history.poll()


def _complete(fm):
    """show an item now, without waiting for the next one"""
    if fm._item is not None:
        fm._showitem()
        fm._item = None


def _showevent(fm, event):
    fm.startitem()
    date = event.pop('date')
    if date is not None:
        date = fm.formatdate(_hgdate(*date))
    parents = fm.formatlist(event.pop('parents'), name=b'node')
    event['source'] = os.path.basename(event['source'])
    fm.data(date=date, parents=parents, **event)


def _hgdate(civil, ahead):
    """a line's date, as hg represents dates"""
    if ahead is not None:
        return civil - ahead, -ahead
    try:
        unix = int(time.mktime((*time.gmtime(civil)[:8], -1)))
    except (OverflowError, ValueError):
        return civil, 0
    return unix, unix - civil


def _limit(opts):
    limit = int(opts.get(b'limit') or 0)
    if limit < 0:
        raise error.InputError(_(b'--limit must not be negative'))
    return min(limit, sys.maxsize)


def _filters(repo, opts):
    """the arguments of History for these options"""
    filters = {}
    for name, parse in ((b'since', _since), (b'until', _until)):
        date = opts.get(name)
        if date:
            filters[pycompat.sysstr(name)] = _moment(name, date, parse)
    for name in (b'event', b'user', b'command'):
        if opts.get(name):
            filters[pycompat.sysstr(name) + 's'] = list(opts[name])
    if opts.get(b'pid'):
        filters['pids'] = [_pid(pid) for pid in opts[b'pid']]
    if opts.get(b'failed'):
        filters['failed'] = True
    if opts.get(b'slower'):
        filters['slower'] = _seconds(opts[b'slower'])
    if opts.get(b'rev'):
        filters['nodes'] = _nodes(repo, opts[b'rev'])
    return filters


def _moment(name, date, parse):
    """a date as seconds since the epoch, and on the local clock"""
    now = int(dateutil.makedate()[0])
    relative = _native.relative_date(date, now)
    try:
        if relative is not None:
            unix = relative[parse is _until]
        else:
            unix = int(parse(date.strip()))
        # Negative ones have no local time in hg.
        zone = dateutil.makedate(max(unix, 0))[1]
    except (error.Abort, ValueError, OverflowError) as err:
        reason = getattr(err, 'message', None) or pycompat.bytestr(err)
        msg = _(b'invalid --%s: %s') % (name, reason)
        hint = _(b'try %s') % _native.DATE_EXAMPLES.encode()
        raise error.InputError(msg, hint=hint) from err
    return unix, unix - int(zone)


# hg: dateutil.matchdate
def _since(date):
    if date.startswith(b'-'):
        return _daysago(date)
    bias = {b'mb': b'1', b'd': b'1'}
    return dateutil.parsedate(date, dateutil.extendeddateformats, bias)[0]


def _until(date):
    if date.startswith(b'-'):
        return _daysago(date)
    bias = {b'mb': b'12', b'HI': b'23', b'M': b'59', b'S': b'59'}
    for day in (b'31', b'30', b'29'):
        bias[b'd'] = day
        try:
            formats = dateutil.extendeddateformats
            return dateutil.parsedate(date, formats, bias)[0]
        except error.ParseError:
            pass
    bias[b'd'] = b'28'
    return dateutil.parsedate(date, dateutil.extendeddateformats, bias)[0]


def _daysago(date):
    if not re.match(rb'-\d{1,6}$', date):
        raise error.InputError(_(b'invalid day spec: %s') % date[1:])
    return dateutil.makedate()[0] - int(date[1:]) * DAY


def _pid(pid):
    if not re.match(rb'\d{1,18}$', pid):
        raise error.InputError(_(b"invalid --pid: '%s' is no number") % pid)
    return int(pid)


def _seconds(seconds):
    try:
        value = float(seconds)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        msg = _(b"invalid --slower: '%s' is no number of seconds")
        raise error.InputError(msg % seconds)
    return value


def _nodes(repo, specs):
    """the full hashes of revisions, or of changesets that no longer exist"""
    from mercurial import logcmdutil

    hashes = {s.lower() for s in specs if re.match(rb'[0-9a-fA-F]{40}$', s)}
    others = [s for s in specs if s.lower() not in hashes]
    node = repo.unfiltered().changelog.node
    for rev in logcmdutil.revrange(repo, others) if others else ():
        try:
            hashes.add(hex(node(rev)))
        except error.WdirUnsupported:
            # The working directory is not a parent.
            pass
    return hashes
