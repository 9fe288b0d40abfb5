# work.py - what a command has done
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""options of `commandfinish`: changesets, files, and the kind of a pull

Only numbers that hg has anyway: nothing here reads a file.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref

from . import events, findmodule, part, tryto, whenloaded, wrap

# hg: a transaction's callbacks run in the order of their names; the last one
CATEGORY = b'zz-uilog'

# Whether failures of workers are known.
_watchesworkers = False

# The counts of each thread's command, in this process.
_counted: dict = {}
_owner = os.getpid()


def _counts():
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        _counted.clear()
    return _counted.setdefault(_command(), {})


def _command():
    """the command that runs in this thread"""
    return threading.get_ident(), events.depth()


def _add(name, number):
    counts = _counts()
    counts[name] = counts.get(name, 0) + number


def transaction(orig, repo, *args, **kwargs):
    """count what a transaction adds, if it succeeds"""
    tr = orig(repo, *args, **kwargs)
    tryto(_watch, repo, tr)
    return tr


def _watch(repo, tr):
    # hg: how many transactions of the same name are nested
    if tr._count != 1:
        return
    repo = weakref.ref(repo.unfiltered())
    added: dict = {}

    # It may fail after this.
    def finalize(tr):
        tryto(_count, repo(), tr, added)

    def close(tr):
        for name, number in added.items():
            tryto(_add, name, number)

    tr.addfinalize(CATEGORY, finalize)
    tr.addpostclose(CATEGORY, close)


def _count(repo, tr, added):
    # A changelog that was not loaded has not grown.
    changelog = vars(repo).get('changelog')
    if changelog is not None:
        before = tr.changes[b'origrepolen']
        added['changesets'] = max(len(changelog) - before, 0)
    # hg: the files of the store that it has appended to
    added['files_changed'] = sum(
        name.startswith(b'data/') and name.endswith(b'.i')
        for name in (*tr._offsetmap, *tr._newfiles)
    )


def watchclone():
    """note how a clone gets its changesets"""
    for name, func in (
        ('streamclone', _wrapstreamclone),
        # hg 7.2 has moved it.
        ('hg', _wrapclone),
        ('cmd_impls.clone', _wrapmovedclone),
    ):
        module = sys.modules.get('mercurial.' + name)
        if module is not None:
            whenloaded('work', module, func)


def watchworkers():
    """learn why workers fail"""
    worker = findmodule('workers', 'worker')
    if worker is not None:
        whenloaded('workers', worker, _wrapworker)


def _wrapworker(module):
    part('errors').wrapworker(module)


def _wrapstreamclone(module):
    wrap(
        'work',
        (module, 'consumev1', stream),
        (module, 'consumev2', stream),
        (module, 'local_copy', localcopy),
    )
    # hg 6.4 has added it.
    if hasattr(module, 'consumev3'):
        wrap('work', (module, 'consumev3', stream))


def _wrapclone(module):
    if hasattr(module, 'clonewithshare'):
        wrap('work', (module, 'clonewithshare', share))


def _wrapmovedclone(module):
    wrap('work', (module, 'clone_with_share', share))


def update(orig, *args, **kwargs):
    """count the effects of an update of the working directory"""
    global _watchesworkers
    if not _watchesworkers:
        _watchesworkers = True
        tryto(watchworkers)
    stats = orig(*args, **kwargs)
    wc = kwargs.get('wc')
    if wc is None or not wc.isinmemory():
        tryto(_updated, stats)
    return stats


def _updated(stats):
    _add('files_updated', stats.updatedcount)
    _add('files_merged', stats.mergedcount)
    _add('files_removed', stats.removedcount)
    _add('files_unresolved', stats.unresolvedcount)


def _notes(way):
    """a wrapper that notes how a clone got its changesets"""

    def wrapper(orig, *args, **kwargs):
        result = orig(*args, **kwargs)
        tryto(_came, way)
        return result

    return wrapper


stream = _notes(b'stream')
# It has copied files, or linked them.
localcopy = _notes(b'local')
share = _notes(b'share')


def bundle():
    """note that a clone has got a bundle from elsewhere"""
    _came(b'bundle')


def _came(way):
    # A bundle may be a stream, and what is shared has come in some way: what
    # ends last says more.
    _counts()['way'] = way


def begin():
    """forget the counts of commands whose end was not tracked"""
    _counted.pop(_command(), None)


def ofcommand(opts):
    """options of a command's end"""
    counts = _counts()
    del _counted[_command()]
    way = counts.pop('way', None)
    behavior = _behavior(opts, counts, way)
    if behavior is not None:
        counts['behavior'] = behavior
    return counts


def _behavior(opts, counts, way):
    command = opts.get('canonical_command')
    if opts.get('return_code') not in (0, 1):
        return None
    if command == b'clone':
        return b'clone-' + (way or b'full')
    if command == b'pull':
        return b'pull-some' if counts.get('changesets') else b'pull-nothing'
    if command == b'update':
        if counts.get('files_unresolved'):
            return b'update-unresolved'
        return b'update-some' if any(counts.values()) else b'update-nothing'
    return None
