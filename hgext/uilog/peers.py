# peers.py - connections to other repositories, and their end
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""closing peers in time

A peer that its command does not close is left to Python's finalizers by stock
hg: they run whenever the garbage collector likes, perhaps in a forked child,
and wait for ssh. Here each connection is registered as it is opened; its
finalizer only notes that nobody uses it any more; and it is closed, at the
latest, before the end of its command is logged.

How a connection is closed, and how long that may take, is the native module's
affair.
"""

from __future__ import annotations

import io
import os
import types
import weakref

from mercurial import (
    dispatch,
    extensions,
    localrepo,
    sshpeer,
    util,
)
from mercurial.i18n import _
from mercurial.utils import urlutil

from . import _native, report

try:
    # hg 7.2 has moved the function that opens a peer.
    from mercurial.repo import factory
except ImportError:
    from mercurial import hg as factory

# Where connections that are being opened lead, the innermost last.
_opening: list = []

# Peers that are no ssh connection.
_others: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

# Classes of such peers whose close() is watched.
_watched: set = set()

# For each command that runs inside of a server, the server's repository.
_served: list = []


def uisetup(ui):
    extensions.wrapfunction(dispatch, 'dispatch', _dispatch)
    # Most commands open no peer, and need not load what does.
    _whenloaded(factory, _wrapfactory)
    _whenloaded(sshpeer, _wrapssh)


def _wrapfactory(module):
    extensions.wrapfunction(module, 'peer', _openpeer)


def _wrapssh(module):
    wrap = extensions.wrapfunction
    # hg 6.4 has renamed it.
    opener = 'make_peer' if hasattr(module, 'make_peer') else 'instance'
    wrap(module, opener, _openssh)
    wrap(module, '_makeconnection', _makeconnection)
    wrap(module, '_cleanuppipes', _cleanuppipes)
    wrap(module.sshv1peer, '__init__', _initssh)
    wrap(module.sshv1peer, '__del__', _finalizessh)


def _whenloaded(module, func):
    """call func with a module as soon as it is more than a promise"""
    if type(module) is types.ModuleType:
        _tryto(func, module)
    else:
        # hg: demandimport makes lazy modules with importlib's LazyLoader
        spec = object.__getattribute__(module, '__spec__')
        spec.loader = _Loader(spec.loader, func)


class _Loader:
    def __init__(self, loader, func):
        self.loader = loader
        self.func = func

    def exec_module(self, module):
        module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _tryto(self.func, module)


def _tryto(func, *args):
    """call what must not make a command fail"""
    try:
        func(*args)
    except Exception as err:
        _native.internal_fault(err)


def closecommand():
    """close what the command has opened and not closed

    A signal ends the wait, not the command, which is over already.
    """
    try:
        _tryto(_closecommand)
    except KeyboardInterrupt:
        pass


def _closecommand():
    left = _native.command_peers()
    if left:
        kept = _kept()
        _close([peer for peer in left if peer not in kept], leaked=True)


def _dispatch(orig, req):
    """a command that runs inside of another, or of a server"""
    repo = req.repo
    _native.enter_command()
    _served.append(repo)
    try:
        return orig(req)
    finally:
        # What has been opened since the command's end was logged.
        closecommand()
        _served.remove(repo)
        _native.leave_command()


def depth():
    """how many commands are nested in the one that hg was started for"""
    return len(_served)


def _kept():
    """the connections that a server's repository keeps for its commands"""
    # hg: remotefilelog's connectionpool
    kept = []
    for repo in _served:
        pool = getattr(getattr(repo, 'connectionpool', None), '_pool', {})
        for conn in [conn for conns in pool.values() for conn in conns]:
            pipe = getattr(conn.peer, '_pipee', None)
            kept.append(getattr(pipe, 'connection', None))
    return kept


class Pipe(io.FileIO):
    """hg's end of a connection's pipe; the descriptor is the connection's"""

    def __init__(self, connection, fd, mode):
        super().__init__(fd, mode, closefd=False)
        self.connection = connection

    def close(self):
        if not self.closed:
            fd = self.fileno()
            super().close()
            self.connection.close_descriptor(fd)


class Connection(_native.Peer):
    """a connection to an ssh peer, from its process's start to its end"""

    def __new__(cls, ui, url, proc, pipes, openedat):
        fds = [pipe.fileno() for pipe in pipes]
        return super().__new__(cls, url, proc.pid, *fds)

    # Nothing in here may fail: the connection would end with the object.
    def __init__(self, ui, url, proc, pipes, openedat):
        self.ui = ui
        self.proc = proc
        self.openedat = openedat
        # Set when somebody's output is broken: it is not tried again.
        self.ismute = False
        modes = ('wb', 'rb', 'rb')
        self.pipes = tuple(map(Pipe, (self,) * 3, self.descriptors(), modes))
        self.id = _native.register_peer(self)
        # There were two descriptors for each until now.
        for pipe in pipes:
            pipe.close()
        proc.stdin, proc.stdout, proc.stderr = self.pipes

    def show(self, line):
        if not self.ismute:
            try:
                self.ui.status(_(b'remote: '), line)
            except (OSError, ValueError):
                # hg: _cleanuppipes, too, goes on without showing
                self.ismute = True

    def finish(self, leaked):
        """what is left to do when it is closed"""
        closed = self.closed()
        if closed is None or not self.pipes:
            # Somebody else is closing it, or has done so.
            return
        outcome, duration, code = closed
        for pipe in self.pipes:
            pipe.close()
        self.pipes = ()
        if self.is_own:
            if code is None:
                # It may be Popen that has reaped it.
                code = self.proc.returncode
            else:
                self.proc.returncode = code
            _native.unregister_peer(self.id, outcome, leaked)
        self.proc = None
        _logclose(self, outcome, duration, leaked, code)


class Other:
    """a peer of another kind, of which we know only that it has a close()

    It is not kept alive: without our finalizer, nothing depends on when it
    goes.
    """

    def __init__(self, ui, url, peer):
        self.ui = ui
        self.url = url
        self.openedat = _stack(ui)
        self.peer = weakref.ref(peer, self._gone)
        self.creator = os.getpid()
        self.isclosed = False
        self.isleaked = False
        self.id = _native.register_peer(self)

    def _gone(self, ref):
        _native.orphan_peer(self.id)

    def close(self):
        """close it, as its command has not"""
        self.isleaked = True
        start = util.timer()
        try:
            peer = self.peer()
            if peer is not None:
                _closequietly(peer)
        finally:
            self.finish(util.timer() - start)

    def finish(self, duration):
        """what is left to do when it is closed"""
        if self.isclosed or self.creator != os.getpid():
            return
        self.isclosed = True
        _native.unregister_peer(self.id, 'closed', self.isleaked)
        _logclose(self, 'closed', duration, self.isleaked, None)


def _openssh(orig, ui, path, *args, **kwargs):
    _opening.append(path)
    try:
        return orig(ui, path, *args, **kwargs)
    finally:
        _opening.pop()


def _makeconnection(orig, ui, *args, **kwargs):
    # In stock hg a connection ends as soon as nobody uses it, so there are
    # never more of them than the command needs.
    orphans = _native.orphaned_peers()
    if orphans:
        _close(orphans, leaked=True)
    proc, *pipes = orig(ui, *args, **kwargs)
    # Another extension may have wrapped them.
    if all(type(pipe) is io.FileIO for pipe in pipes):
        try:
            url = _url(_opening[-1]) if _opening else b'ssh:'
            pipes = Connection(ui, url, proc, pipes, _stack(ui)).pipes
        except Exception as err:
            _native.internal_fault(err)
    return (proc, *pipes)


def _initssh(orig, self, *args, **kwargs):
    # A connection may be one that its maker goes on using himself, such as
    # debugwireproto's. Its end is stock hg's affair, except after a fork.
    self._uilogcreator = os.getpid()
    orig(self, *args, **kwargs)


def _cleanuppipes(orig, ui, pipei, pipeo, pipee, warn):
    connection = getattr(pipee, 'connection', None)
    if connection is None:
        return orig(ui, pipei, pipeo, pipee, warn)
    _close([connection], leaked=False)


def _finalizessh(orig, self):
    """sshv1peer.__del__, which may run anywhere and at any time"""
    if hasattr(self, '_pipee'):
        _tryto(_finalizeopen, orig, self)


def _finalizeopen(orig, self):
    isown = self._uilogcreator == os.getpid()
    connection = getattr(self._pipee, 'connection', None)
    if connection is None:
        if isown:
            orig(self)
    elif isown:
        _native.orphan_peer(connection.id)
    else:
        _close([connection], leaked=False)


def _close(peers, leaked):
    connections = [peer for peer in peers if isinstance(peer, Connection)]
    if connections:
        ui = connections[0].ui
        try:
            logger = ui.getlogger(report.LOGGER)
            _native.close_peers(logger, connections, Connection.show)
        finally:
            for connection in connections:
                connection.finish(leaked)
            report.problems(ui)
    for peer in peers:
        if isinstance(peer, Other):
            _tryto(peer.close)


def _openpeer(orig, *args, **kwargs):
    peer = orig(*args, **kwargs)
    _tryto(_watch, peer)
    return peer


def _watch(peer):
    """register a peer that is no ssh connection of ours"""
    if isinstance(getattr(peer, '_pipee', None), Pipe):
        return
    # A local peer is a repository. Nothing is left open with it, and to close
    # it writes its caches, which the command has not asked for.
    if isinstance(peer, localrepo.localpeer):
        return
    if peer.local() is not None or not hasattr(peer, 'close'):
        return
    cls = type(peer)
    if cls not in _watched:
        _watched.add(cls)
        extensions.wrapfunction(cls, 'close', _closeother)
    _others[peer] = Other(peer.ui, _url(peer.url()), peer)


def _closeother(orig, self, *args, **kwargs):
    other = _others.pop(self, None)
    start = util.timer()
    try:
        return orig(self, *args, **kwargs)
    finally:
        if other is not None:
            other.finish(util.timer() - start)


def _closequietly(peer):
    """close a peer as if nobody had"""
    # hg: httppeer.close() tells, with --verbose, how much was sent
    verbose = peer.ui.verbose
    peer.ui.verbose = False
    try:
        peer.close()
    finally:
        peer.ui.verbose = verbose


def _logclose(peer, outcome, duration, leaked, code):
    outcome = outcome.encode()
    opts = {
        'url': peer.url,
        'duration': duration,
        'outcome': outcome,
        'leaked': leaked,
    }
    if code is not None:
        opts['exit_code'] = code
    if peer.openedat:
        opts['opened_at'] = peer.openedat
    peer.ui.log(
        b'peerclose',
        b'connection to %s closed after %0.2f seconds (%s)\n',
        peer.url,
        duration,
        outcome,
        **opts,
    )


def _url(path):
    """where a peer leads, without a password"""
    # hg 6.4 has paths; 6.3 has URLs, as debugwireproto still does.
    return urlutil.hidepassword(getattr(path, 'loc', path))


def _stack(ui):
    """where a peer is being opened, for those who look for leaks"""
    if ui.debugflag or ui.configbool(b'devel', b'all-warnings'):
        return b''.join(util.getstackframes(2))
    return None
