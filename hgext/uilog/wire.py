# wire.py - the traffic of a connection to another repository
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""bytes, round trips, wire commands and the time that hg waits for them

One `Traffic` for each connection, logged when the connection is closed and
added up for the command. Only counts; `peers` knows when a connection is opened
and closed.
"""

from __future__ import annotations

import re
import select
import weakref

from mercurial import util

from . import (
    _native,
    cause,
    events,
    find,
    findmodule,
    loaded,
    tryto,
    whenloaded,
    wrap,
)

# The names of this module's parts, if they are off.
SSH = 'ssh traffic'
HTTP = 'http traffic'
BUNDLES = 'clone bundles'

# The wire command of a request by HTTP.
_CMD = re.compile(r'[?&]cmd=(\w+)')

# ssh connections begin with these commands, which are sent together.
HANDSHAKE = b'hello'

# Waits longer than so many seconds are noted as a phase.
SOON = 1.0

# Maximum number of commands that are logged by name.
MAX_COMMANDS = 64
# The name for all others.
OTHERS = b'others'

# Traffic of ssh connections by the descriptors that are waited for.
_byfd: dict = {}

# The traffic of the connection that was opened last.
_last: list = []


class Traffic:
    """the traffic of a connection"""

    def __init__(self, url):
        self.url = url
        self.sent = 0
        self.received = 0
        self.roundtrips = 0
        self.time = 0.0
        self.began = util.timer()
        # The wire commands: how often, and how long hg has waited.
        self.commands = {}
        self.current = None
        self.name = OTHERS
        self.isstream = False
        self.isclonebundle = False
        # Counts the bytes instead, if hg has such an object.
        self.opener = None
        _last[:] = [weakref.ref(self)]

    def begin(self, command):
        """note that a command is sent"""
        if command not in self.commands and len(self.commands) >= MAX_COMMANDS:
            command = OTHERS
        self.name = command
        self.current = self.commands.setdefault(command, [0, 0.0])
        self.current[0] += 1
        self.roundtrips += 1

    def beginphase(self):
        """note that hg waits for the other side"""
        _native.begin_phase(
            b'wire', {'wire_command': self.name, 'url': self.url}
        )

    def await_(self, fds, func, *args):
        """call a function that waits for these descriptors"""
        began = util.timer()
        islong = not _isready(fds)
        if islong:
            self.beginphase()
        try:
            return func(*args)
        finally:
            if islong:
                _native.end_phase()
            self.wait(util.timer() - began)

    def wait(self, seconds):
        """note that hg has waited for the other side"""
        self.time += seconds
        if self.current is not None:
            self.current[1] += seconds

    def options(self):
        """its options; adds them to the command's sums"""
        opener = self.opener
        if opener is not None:
            self.sent = opener.sentbytescount
            self.received = opener.receivedbytescount
            # Includes repeated requests.
            self.roundtrips = opener.requestscount
        opts: dict = {
            'bytes_sent': self.sent,
            'bytes_received': self.received,
            'roundtrips': self.roundtrips,
            'wire_time': self.time,
        }
        for option, value in opts.items():
            _native.add_cost(option, value)
        if self.commands:
            commands = [(name, *it) for name, it in self.commands.items()]
            opts['wire_commands'] = _native.add_wire_commands(commands)
        if self.isstream:
            opts['stream'] = True
        if self.isclonebundle:
            opts['clone_bundle'] = True
        opts['connected'] = util.timer() - self.began
        return opts


def iswanted(ui):
    """whether the traffic of this ui's connections is tracked"""
    if cause(ui) is not None:
        return False
    native = events.logger(ui)
    return native is not None and (
        b'peerclose' in native or b'commandfinish' in native
    )


def setup():
    httppeer = findmodule(HTTP, 'httppeer')
    if httppeer is not None:
        whenloaded(HTTP, httppeer, _wraphttp)
    wirepeer = findmodule(BUNDLES, 'wireprotov1peer')
    if wirepeer is not None:
        whenloaded(BUNDLES, wirepeer, _wrapwirepeer)
    exchange = findmodule(BUNDLES, 'exchange')
    if exchange is not None:
        whenloaded(BUNDLES, exchange, _wrapexchange)


def _wrapwirepeer(module):
    peer = find(BUNDLES, module, 'wirepeer')
    if peer is not None:
        wrap(BUNDLES, (peer, 'getbundle', _getbundle))


def _wrapexchange(module):
    wrap(BUNDLES, (module, 'trypullbundlefromurl', _trypullbundle))


def _getbundle(orig, self, *args, **kwargs):
    traffic = of(self)
    if traffic is not None and kwargs.get('stream'):
        traffic.isstream = True
    return orig(self, *args, **kwargs)


def _trypullbundle(orig, *args, **kwargs):
    isapplied = orig(*args, **kwargs)
    if isapplied:
        tryto(_notebundle)
    return isapplied


def _notebundle():
    traffic = _last[0]() if _last else None
    if traffic is not None:
        traffic.isclonebundle = True
    # Who clones has loaded it.
    work = loaded('work')
    if work is not None:
        work.bundle()


def of(peer):
    """the traffic of a peer, if it is counted"""
    connection = getattr(getattr(peer, '_pipee', None), 'connection', None)
    if connection is None:
        opener = getattr(peer, '_urlopener', None)
        return getattr(opener, '_uilogtraffic', None)
    return connection.traffic


# ssh


def wrapssh(module, peer):
    """wrap the functions that send commands through ssh, and wait for it"""
    wrap(
        SSH,
        (peer, '_sendrequest', _sendrequest),
        (util, 'poll', _poll),
    )
    wrap(SSH, (util.bufferedinputpipe, '_fillbuffer', _fillbuffer))


def openssh(traffic, pipes):
    """note the pipes of a connection"""
    for pipe in pipes:
        _byfd[pipe.fileno()] = traffic
    traffic.begin(HANDSHAKE)


def closessh(pipe):
    """note that a pipe is closed"""
    _byfd.pop(pipe, None)


def _sendrequest(orig, self, cmd, args, *rest, **kwargs):
    traffic = of(self)
    if traffic is not None:
        traffic.begin(cmd)
        # hg: exchange.trypullstream of old repositories
        if cmd == b'stream_out':
            traffic.isstream = True
    return orig(self, cmd, args, *rest, **kwargs)


def _poll(orig, fds):
    traffic = _byfd.get(fds[0]) if _byfd and fds else None
    if traffic is None:
        return orig(fds)
    return traffic.await_(fds, orig, fds)


def _isready(fds):
    """whether a descriptor is ready soon; a longer wait is noted as a phase"""
    try:
        return any(select.select(fds, fds, fds, SOON))
    except (OSError, ValueError):
        # hg will get the error itself.
        return True


def _fillbuffer(orig, self, *args, **kwargs):
    traffic = _byfd.get(self.fileno()) if _byfd else None
    data = orig(self, *args, **kwargs)
    if traffic is not None:
        traffic.received += len(data)
    return data


# http


def _wraphttp(module):
    wrap(HTTP, (module, 'sendrequest', _sendhttp))


def _sendhttp(orig, ui, opener, req, *args, **kwargs):
    traffic = None
    try:
        url = req.get_full_url()
        # It may contain confidential arguments.
        base = url.split('?')[0].encode('utf-8', 'replace')
        traffic = _ofopener(ui, opener, base)
        if traffic is not None:
            match = _CMD.search(url)
            command = match[1].encode() if match else OTHERS
            traffic.begin(command)
            if command == b'stream_out':
                traffic.isstream = True
    except Exception as err:
        _native.internal_fault(err)
    if traffic is None:
        return orig(ui, opener, req, *args, **kwargs)
    began = util.timer()
    traffic.beginphase()
    try:
        response = orig(ui, opener, req, *args, **kwargs)
    finally:
        _native.end_phase()
        traffic.wait(util.timer() - began)
    tryto(_timereads, traffic, response)
    return response


def _ofopener(ui, opener, url):
    """the traffic of an opener, if it is tracked"""
    traffic = getattr(opener, '_uilogtraffic', None)
    if traffic is None and not hasattr(opener, '_uilogtraffic'):
        if iswanted(ui) and hasattr(opener, 'receivedbytescount'):
            traffic = Traffic(url)
            traffic.opener = opener
        opener._uilogtraffic = traffic
    return traffic


def _timereads(traffic, response):
    """measure how long hg waits for the body of a response"""
    # Keeps no reference to the response, which is closed with its last user.
    ref = weakref.ref(response)
    command = traffic.current
    for name in ('read', 'readinto', 'readline'):
        method = getattr(type(response), name, None)
        if method is not None:
            timed = _timed(method, ref, traffic, command)
            setattr(response, name, timed)


def _timed(method, ref, traffic, command):
    isreading = False

    def read(*args, **kwargs):
        nonlocal isreading
        response = ref()
        # One may call another.
        if isreading:
            return method(response, *args, **kwargs)
        isreading = True
        began = util.timer()
        traffic.beginphase()
        try:
            return method(response, *args, **kwargs)
        finally:
            _native.end_phase()
            isreading = False
            seconds = util.timer() - began
            traffic.time += seconds
            command[1] += seconds

    return read
