# requests.py - requests to a server
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""an event when a request to a server begins, and one when it is answered

For `hg serve --stdio`, which ssh starts, and for hgweb, which `hg serve` and
web servers run. A request ends when its answer is written, not when it is
known: the answer may be a stream that takes minutes. The requests of a command
server's clients are commands, which have their own events.
"""

from __future__ import annotations

import itertools

from mercurial import encoding, util

from . import (
    LOGGER,
    _native,
    cause,
    events,
    wrap,
)

# The name of this part, if it is off.
LABEL = 'requests'

BEGIN = b'wirerequest'
END = b'wirefinish'

# Numbers the requests of this process.
_numbers = itertools.count(1)


def wrapservers(module):
    wrap(
        LABEL,
        (module, '_runsshserver', _runssh),
        (module, 'handlewsgirequest', _handlehttp),
    )


def _iswanted(ui):
    """whether requests of this ui are tracked"""
    if LOGGER not in ui._loggers or cause(ui) is not None:
        return False
    native = events.logger(ui)
    return native is not None and (
        BEGIN in native
        or END in native
        # Each logger decides which events it tracks.
        or len(ui._loggers) > 1
    )


class Request:
    """a request that has begun"""

    def __init__(self, repo, command, who):
        self.repo = repo
        self.command = command
        self.sent = 0
        self.received = 0
        self.began = util.timer()
        self.isover = False
        self.opts = {
            'request': next(_numbers),
            'wire_command': command,
            'repository': repo.root,
            **who,
        }
        repo.ui.log(
            BEGIN,
            b'request %s begins\n',
            command,
            **self.opts,
        )

    def finish(self, err=None):
        """note that it is answered, or has failed"""
        if self.isover:
            return
        self.isover = True
        duration = util.timer() - self.began
        opts = dict(self.opts)
        if err is not None:
            opts['error_type'] = type(err).__name__.encode()
        outcome = b'ok' if err is None else b'failed'
        self.repo.ui.log(
            END,
            b'request %s took %0.2f seconds (%s)\n',
            self.command,
            duration,
            outcome,
            duration=duration,
            outcome=outcome,
            bytes_sent=self.sent,
            bytes_received=self.received,
            **opts,
        )


def _end(request, err=None):
    try:
        request.finish(err)
    except Exception as fault:
        _native.internal_fault(fault)


# ssh


class Channel:
    """a server's standard input or output, whose bytes are counted"""

    def __init__(self, file, serving):
        self._file = file
        self._serving = serving

    def __getattr__(self, name):
        return getattr(self._file, name)


class Input(Channel):
    def readline(self, *args):
        serving = self._serving
        # The server reads the next request only between two requests.
        if not serving.isbusy:
            serving.finish()
        line = self._file.readline(*args)
        if serving.isbusy:
            serving.count(len(line), 0)
        else:
            serving.begin(line)
        return line

    def read(self, *args):
        data = self._file.read(*args)
        self._serving.count(len(data), 0)
        return data


class Output(Channel):
    def write(self, data):
        self._serving.count(0, len(data))
        return self._file.write(data)


class Serving:
    """the current request of a server that ssh has started"""

    def __init__(self, repo):
        self.repo = repo
        self.who = _whossh()
        self.request = None
        # Whether a request is being processed: bytes read are a part of it.
        self.isbusy = False

    def count(self, received, sent):
        if self.request is not None:
            self.request.received += received
            self.request.sent += sent

    def begin(self, line):
        """note the line with which a request begins"""
        command = line[:-1]
        if not command:
            return
        try:
            self.request = Request(self.repo, _known(command), self.who)
            self.request.received = len(line)
        except Exception as err:
            _native.internal_fault(err)

    def finish(self, err=None):
        request, self.request = self.request, None
        if request is not None:
            _end(request, err)


def _known(command):
    """a request's command, which a client may have invented"""
    from mercurial import wireprotov1server

    # hg: wireprotov1server.commands
    return command if command in wireprotov1server.commands else b'unknown'


def _whossh():
    environ = encoding.environ
    who = {}
    # OpenSSH: the client's address and port, the server's address and port
    address = environ.get(b'SSH_CONNECTION', b'').split(b' ')[0]
    if address:
        who['remote_address'] = address
    # Set by programs that share an account, such as mercurial-server.
    user = environ.get(b'REMOTE_USER')
    if user:
        who['remote_user'] = user
    return who


def _runssh(orig, ui, repo, fin, fout, *args, **kwargs):
    serving = None
    try:
        if _iswanted(repo.ui):
            _wrapdispatch()
            serving = Serving(repo)
            fin, fout = Input(fin, serving), Output(fout, serving)
    except Exception as err:
        _native.internal_fault(err)
    if serving is None:
        return orig(ui, repo, fin, fout, *args, **kwargs)
    try:
        result = orig(ui, repo, fin, fout, *args, **kwargs)
    except BaseException as err:
        serving.finish(err)
        raise
    serving.finish()
    return result


def _wrapdispatch():
    from mercurial import wireprotov1server

    wrap(LABEL, (wireprotov1server, 'dispatch', _dispatch))


def _dispatch(orig, repo, proto, *args, **kwargs):
    serving = getattr(getattr(proto, '_fin', None), '_serving', None)
    if serving is None:
        return orig(repo, proto, *args, **kwargs)
    serving.isbusy = True
    try:
        return orig(repo, proto, *args, **kwargs)
    finally:
        serving.isbusy = False


# hgweb


def _handlehttp(orig, rctx, req, res, *args, **kwargs):
    request = None
    try:
        command = req.qsparams.get(b'cmd')
        repo = rctx.repo
        if command is not None and _iswanted(repo.ui):
            name = _known(command)
            # Otherwise it is a web page.
            if name == command and not req.dispatchpath:
                request = Request(repo, command, _whohttp(req))
                length = req.headers.get(b'Content-Length') or b'0'
                request.received = int(length)
    except Exception as err:
        _native.internal_fault(err)
    if request is None:
        return orig(rctx, req, res, *args, **kwargs)
    try:
        handled = orig(rctx, req, res, *args, **kwargs)
    except BaseException as err:
        _end(request, err)
        raise
    # Only on this instance, because others may answer other requests.
    res.sendresponse = _answering(request, res.sendresponse)
    return handled


def _answering(request, sendresponse):
    def answer():
        try:
            for chunk in sendresponse():
                request.sent += len(chunk)
                yield chunk
        except BaseException as err:
            # hg, or a client that has gone: the generator is closed then.
            _end(request, err)
            raise
        _end(request)

    return answer


def _whohttp(req):
    who = {}
    address = req.rawenv.get(b'REMOTE_ADDR')
    if address:
        who['remote_address'] = address
    if req.remoteuser:
        who['remote_user'] = req.remoteuser
    return who
