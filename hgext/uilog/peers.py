# peers.py - connections to other repositories, and their end
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""closing peers in time

If a command does not close a peer, stock hg leaves it to a Python finalizer,
which runs at any time, perhaps in a forked child, and waits for ssh. Here,
each connection is registered when it is opened. Its finalizer only marks it as
unused. It is closed before the end of its command is logged, at the latest.

The native module knows how a connection is closed, and how long that may take.
"""

from __future__ import annotations

import atexit
import io
import os
import weakref

from mercurial import localrepo, util
from mercurial.i18n import _

from . import _native, cause, events, find, part, tryto, wire, wrap

# The names of this module's parts, if they are off.
SSH = 'ssh peers'
OTHERS = 'other peers'

# URLs of the connections that are being opened, the innermost last.
_opening: list = []

# Peers without an ssh connection.
_others: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

# Classes of such peers whose close() is watched.
_watched: set = set()

# For each command that runs within a server, the server's repository.
_served: list = []


def setup():
    # Last resort; os._exit skips it.
    atexit.register(closecommand)
    part('wire')


def openpeer(orig, *args, **kwargs):
    """the function that opens a peer"""
    peer = orig(*args, **kwargs)
    tryto(_watch, peer)
    return peer


def wrapssh(module):
    """wrap the functions that open and close ssh connections"""
    # hg 6.4 has renamed it.
    isold = not hasattr(module, 'make_peer') and hasattr(module, 'instance')
    opener = 'instance' if isold else 'make_peer'
    peer = find(SSH, module, 'sshv1peer')
    if peer is not None:
        wrap(
            SSH,
            (module, opener, _openssh),
            (module, '_makeconnection', _makeconnection),
            (module, '_cleanuppipes', _cleanuppipes),
            (peer, '__init__', _initssh),
            (peer, '__del__', _finalizessh),
        )
        wire.wrapssh(module, peer)


def closecommand():
    """close connections that the command has opened and not closed

    A signal ends the wait, not the command, which is over already.
    """
    try:
        tryto(_closecommand)
    except KeyboardInterrupt:
        pass


def _closecommand():
    peers = _native.command_peers()
    if peers:
        pooled = _kept()
        _close([peer for peer in peers if peer not in pooled], leaked=True)


def nested(orig, req, *args, **kwargs):
    """a command that runs within another, or within a server"""
    repo = getattr(req, 'repo', None)
    trace = None
    try:
        trace = part('trace')
    except Exception as err:
        _native.internal_fault(err)
    if trace is not None:
        tryto(trace.enter, _isserved(req))
    _served.append(repo)
    try:
        return orig(req, *args, **kwargs)
    finally:
        # Connections that were opened after the command's end was logged.
        closecommand()
        _served.remove(repo)
        if trace is not None:
            tryto(trace.leave)


def _isserved(req):
    """whether the client of a command server has asked for a command"""
    # hg: commandserver.server.runcommand gives it the client's channels
    fin = getattr(req, 'fin', None)
    return type(fin).__module__ == 'mercurial.commandserver'


def depth():
    """how many commands are nested in the one that hg was started for"""
    return len(_served)


def _kept():
    """the connections that a server's repository keeps for later commands"""
    # hg: remotefilelog's connectionpool
    connections = []
    for repo in _served:
        pool = getattr(getattr(repo, 'connectionpool', None), '_pool', {})
        for conn in [conn for conns in pool.values() for conn in conns]:
            pipe = getattr(conn.peer, '_pipee', None)
            connections.append(getattr(pipe, 'connection', None))
    return connections


class Pipe(io.FileIO):
    """hg's end of a connection's pipe; the descriptor is the connection's"""

    def __init__(self, connection, fd, mode):
        super().__init__(fd, mode, closefd=False)
        self.connection = connection

    def write(self, data):
        written = super().write(data)
        traffic = self.connection.traffic
        if traffic is not None and written is not None:
            traffic.sent += written
        return written

    def readline(self, *args):
        # hg: only sshpeer._performhandshake uses it
        traffic = self.connection.traffic
        if traffic is None:
            return super().readline(*args)
        # Until a user has logged in, for instance.
        line = traffic.await_([self.fileno()], super().readline, *args)
        traffic.received += len(line)
        return line

    def close(self):
        if not self.closed:
            fd = self.fileno()
            wire.closessh(fd)
            super().close()
            self.connection.close_descriptor(fd)


class Connection(_native.Peer):
    """a connection to an ssh peer, from its process's start to its end"""

    def __new__(cls, ui, url, proc, pipes, openedat):
        fds = [pipe.fileno() for pipe in pipes]
        return super().__new__(cls, url, proc.pid, *fds)

    # Must not raise: dropping the object closes its connection.
    def __init__(self, ui, url, proc, pipes, openedat):
        self.ui = ui
        self.proc = proc
        self.openedat = openedat
        self.traffic = None
        # Set after hg's output has failed: it is not tried again.
        self.ismute = False
        modes = ('wb', 'rb', 'rb')
        self.pipes = tuple(map(Pipe, (self,) * 3, self.descriptors(), modes))
        self.id = _native.register_peer(self)
        # Until now there were two descriptors for each.
        for pipe in pipes:
            pipe.close()
        proc.stdin, proc.stdout, proc.stderr = self.pipes
        tryto(self._count)

    def _count(self):
        if wire.iswanted(self.ui):
            traffic = wire.Traffic(self.url)
            wire.openssh(traffic, self.pipes[:2])
            self.traffic = traffic

    def show(self, line):
        if not self.ismute:
            try:
                self.ui.status(_(b'remote: '), line)
            except (OSError, ValueError):
                # hg: _cleanuppipes continues without showing it, too
                self.ismute = True

    def finish(self, leaked):
        """the last steps of closing it"""
        closed = self.closed()
        if closed is None or not self.pipes:
            # Other code is closing it, or has done so.
            return
        outcome, duration, code = closed
        for pipe in self.pipes:
            pipe.close()
        self.pipes = ()
        if self.is_own:
            if code is None:
                # Popen may have reaped it.
                code = self.proc.returncode
            else:
                self.proc.returncode = code
            _native.unregister_peer(self.id, leaked, self)
        self.proc = None
        _logclose(self, outcome, duration, leaked, code)


class Other:
    """a peer of another kind, of which we know only that it has a close()

    It is not kept alive: it has no finalizer of uilog's, so nothing depends on
    when it is collected.
    """

    def __init__(self, ui, url, peer):
        self.ui = ui
        self.url = url
        self.openedat = _stack(ui)
        self.traffic = wire.of(peer)
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
        """the last steps of closing it"""
        if self.isclosed or self.creator != os.getpid():
            return
        self.isclosed = True
        _native.unregister_peer(self.id, self.isleaked)
        _logclose(self, b'closed', duration, self.isleaked, None)


def _openssh(orig, *args, **kwargs):
    _opening.append(args[1] if len(args) > 1 else kwargs.get('path'))
    try:
        return orig(*args, **kwargs)
    finally:
        _opening.pop()


def _makeconnection(orig, *args, **kwargs):
    # In stock hg a connection ends as soon as it is unused, so there are
    # never more than the command needs.
    orphans = _native.orphaned_peers()
    if orphans:
        _close(orphans, leaked=True)
    made = orig(*args, **kwargs)
    try:
        ui = args[0] if args else kwargs['ui']
        proc, *pipes = made
        # Another extension may have wrapped them.
        isplain = all(type(pipe) is io.FileIO for pipe in pipes)
        if isplain and cause(ui) is None:
            path = _opening[-1] if _opening else None
            url = b'ssh:' if path is None else _url(path)
            made = (proc, *Connection(ui, url, proc, pipes, _stack(ui)).pipes)
    except Exception as err:
        _native.internal_fault(err)
    return made


def _initssh(orig, self, *args, **kwargs):
    # The code that made a connection may use it directly, such as
    # debugwireproto. Stock hg closes it, except after a fork.
    self._uilogcreator = os.getpid()
    orig(self, *args, **kwargs)


def _cleanuppipes(orig, *args, **kwargs):
    for pipe in (*args, *kwargs.values()):
        if isinstance(pipe, Pipe):
            return _close([pipe.connection], leaked=False)
    return orig(*args, **kwargs)


def _finalizessh(orig, self):
    """sshv1peer.__del__, which may run anywhere and at any time"""
    if hasattr(self, '_pipee'):
        tryto(_finalizeopen, orig, self)


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
        logger = None
        try:
            logger = events.logger(ui)
        except Exception as err:
            _native.internal_fault(err)
        try:
            # What signal handlers raise passes.
            _native.close_peers(logger, connections, Connection.show, leaked)
        finally:
            for connection in connections:
                tryto(connection.finish, leaked)
            tryto(events.tellproblems, ui)
    for peer in peers:
        if isinstance(peer, Other):
            tryto(peer.close)


def _watch(peer):
    """register a peer without a registered ssh connection"""
    if isinstance(getattr(peer, '_pipee', None), Pipe):
        return
    # A local peer is a repository. Nothing is left open with it, and to close
    # it writes its caches, which the command has not asked for.
    if isinstance(peer, localrepo.localpeer):
        return
    if peer.local() is not None or not hasattr(peer, 'close'):
        return
    if cause(peer.ui) is not None:
        return
    cls = type(peer)
    if cls not in _watched:
        _watched.add(cls)
        wrap(OTHERS, (cls, 'close', _closeother))
    _others[peer] = Other(peer.ui, _url(peer.url()), peer)


def _closeother(orig, self, *args, **kwargs):
    other = _others.pop(self, None)
    start = util.timer()
    try:
        return orig(self, *args, **kwargs)
    finally:
        if other is not None:
            tryto(other.finish, util.timer() - start)


def _closequietly(peer):
    """close a peer without output"""
    # hg: httppeer.close() tells, with --verbose, how much was sent
    verbose = peer.ui.verbose
    peer.ui.verbose = False
    try:
        peer.close()
    finally:
        peer.ui.verbose = verbose


def _logclose(peer, outcome, duration, leaked, code):
    opts = {
        'url': peer.url,
        'duration': duration,
        'outcome': outcome,
        'leaked': leaked,
    }
    if code is not None:
        opts['exit_code'] = code
    if peer.traffic is not None:
        # hg waits for the other side here, too.
        peer.traffic.time += duration
        opts.update(peer.traffic.options())
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
    """a peer's URL, without a password"""
    from mercurial.utils import urlutil

    # hg 6.4 has paths; 6.3 has URLs, as debugwireproto still does.
    return urlutil.hidepassword(getattr(path, 'loc', path))


def _stack(ui):
    """the stack that opens a peer, for finding leaks"""
    if ui.debugflag or ui.configbool(b'devel', b'all-warnings'):
        return b''.join(util.getstackframes(2))
    return None
