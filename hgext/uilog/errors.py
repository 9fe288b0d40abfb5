# errors.py - why a command has failed
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""options of `commandfinish` and `commandexception`: what went wrong

hg shows an exception to the user and forgets it before it logs the command's
end. It calls `ui.traceback` with each one first: there it is described. No
exception is kept, since its frames hold locks and transactions.

Must not know sinks, or which events they track.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import os
import signal
import struct
import sys
import threading
import traceback as tracebacks

from mercurial import encoding, error, pycompat
from mercurial.i18n import _
from mercurial.utils import stringutil

from . import LOGGER, _native, events, find, off, part, tryto

# Maximum length of a text, in bytes.
MAX_TEXT = 4096
# Maximum length of a traceback, in bytes; its end is kept.
MAX_STACK = 16384
CUT = b'...'

# Maximum number of functions between an exception and the code that shows it.
_MAX_BETWEEN = 10

# The exit status of a process for -1.
FAILED = 255

# For each thread's command: its process, and the stored options.
_noted: dict = {}

# Why a forked worker has failed that this process waits for, and the pipe on
# which its children tell.
_pipe: tuple | None = None

# hg: extensions.bind; how often it is called depends on the enabled extensions
_PLUMBING = ('mercurial.extensions', 'closure')

# How a worker's report begins: how long each of its two texts is, and the exit
# code.
_HEADER = struct.Struct('>HHh')
# A pipe takes so many bytes at once or not at all.
# POSIX: {PIPE_BUF}, on Linux
_MAX_REPORT = 4096


def traceback(orig, ui, *args, **kwargs):
    """ui.traceback, which hg calls with each exception before it shows it"""
    tryto(_notice, ui)
    return orig(ui, *args, **kwargs)


def _notice(ui):
    native = ui._loggers.get(LOGGER)
    exc = sys.exc_info()[1]
    if type(native) is not _native.Logger or exc is None:
        return
    frame = sys._getframe(1)
    for _count in range(_MAX_BETWEEN):
        if frame.f_back is None:
            return
        function = (frame.f_globals.get('__name__'), frame.f_code.co_name)
        frame = frame.f_back
        if function == ('mercurial.hook', 'pythonhook'):
            if b'pythonhook' in native:
                part('hooks').note(exc)
            return
        if function == ('mercurial.scmutil', 'callcatch'):
            caller = frame.f_globals.get('__name__')
            if b'commandfinish' not in native:
                return
            if caller == 'mercurial.worker':
                noteworker(exc)
            elif caller == 'mercurial.dispatch':
                note(exc)
            return


def note(exc):
    """store why this thread's command fails"""
    _noted[_command()] = (os.getpid(), describe(exc))


def _command():
    """the command that runs in this thread"""
    return threading.get_ident(), events.depth()


def noteworker(exc):
    """report to the parent of this worker why it fails"""
    if _pipe is None:
        return
    options = describe(exc)
    name = pycompat.sysbytes(options['error_type'])[:256]
    code = options.get('detailed_exit_code', FAILED)
    room = _MAX_REPORT - _HEADER.size - len(name)
    text = shortened(options.get('error', b''), room)
    report = _HEADER.pack(len(name), len(text), code) + name + text
    try:
        os.write(_pipe[1], report)
    except BlockingIOError:
        # The pipe is full of other workers' reports.
        pass


def ofcommand(opts):
    """options of a command's end"""
    code = opts.get('return_code')
    pid, noted = _noted.pop(_command(), (None, {}))
    if not code:
        # The exception has been handled.
        return {}
    if pid != os.getpid():
        noted = {}
    return {'detailed_exit_code': code, **noted}


def ofexception(opts):
    """options of an exception that hg does not handle"""
    exc = sys.exc_info()[1]
    if exc is None:
        return {}
    lines = tracebacks.format_exception(type(exc), exc, exc.__traceback__)
    stack = ''.join(lines)
    stack = encoding.strtolocal(stack)
    if len(stack) > MAX_STACK:
        stack = stack[-MAX_STACK:]
        # Not half a line, which may begin in the middle of a character.
        stack = CUT + b'\n' + stack[stack.find(b'\n') + 1 :]
    return {
        'exception_type': typename(exc),
        'exception_message': message(exc),
        'exception_stacktrace': stack,
        'fingerprint': fingerprint(exc.__traceback__),
    }


def fingerprint(tb):
    """a hash of the functions of a traceback, and of nothing that differs from
    one machine to the next

    Each function counts once: how deep a recursion was is chance. What is ours
    does not count, since it depends on the configuration.
    """
    functions: dict = {}
    while tb is not None:
        frame = tb.tb_frame
        module = frame.f_globals.get('__name__') or ''
        function = (module, frame.f_code.co_name)
        if function != _PLUMBING and not module.startswith(__package__):
            functions[function] = None
        tb = tb.tb_next
    text = '\n'.join('%s:%s' % function for function in functions)
    digest = hashlib.sha256(text.encode('utf-8', 'backslashreplace'))
    return digest.hexdigest()[:16]


def typename(exc):
    """the full name of an exception's class"""
    cls = type(exc)
    if cls.__module__ == 'builtins':
        return cls.__qualname__
    return '%s.%s' % (cls.__module__, cls.__qualname__)


def message(exc):
    """an exception's text"""
    return shortened(_text(exc))


def describe(exc):
    """the options that describe an exception"""
    if isinstance(exc, KeyboardInterrupt):
        iskilled = isinstance(exc, error.SignalInterrupt)
        return {
            'error_type': _signal(exc),
            'error': b'killed' if iskilled else b'interrupted',
            'detailed_exit_code': FAILED,
        }
    if isinstance(exc, error.WorkerError):
        return _ofworker(exc)
    text, code = _shown(exc)
    options = {'error_type': type(exc).__name__}
    text = shortened(text.strip(b'\n'))
    if text:
        options['error'] = text
    if code is not None:
        options['detailed_exit_code'] = code & 255
    return options


# hg: scmutil.callcatch and dispatch._callcatch, in their order
def _shown(exc):
    """hg's message for an exception, and its detailed exit code, if any"""
    if isinstance(exc, error.LockHeld):
        if exc.errno == errno.ETIMEDOUT:
            reason = _(b'timed out waiting for lock held by %r')
            reason %= pycompat.bytestr(exc.locker)
        else:
            reason = _(b'lock held by %r') % exc.locker
        return _oflock(exc, reason), 20
    if isinstance(exc, error.LockUnavailable):
        reason = encoding.strtolocal(exc.strerror)
        return b'could not lock ' + _oflock(exc, reason), 20
    if isinstance(exc, error.RepoError):
        code = 10 if isinstance(exc, error.RepoLookupError) else FAILED
        return _withhint(exc, stringutil.forcebytestr(exc)), code
    if isinstance(exc, error.ResponseError):
        answer = exc.args[1] if len(exc.args) > 1 else None
        text = stringutil.forcebytestr(exc.args[0])
        if answer is not None:
            text += b'\n' + stringutil.forcebytestr(answer)
        return text, FAILED
    if isinstance(exc, error.CensoredNodeError):
        return _(b'file censored %s') % stringutil.forcebytestr(exc), FAILED
    if isinstance(exc, error.WdirUnsupported):
        return _(b'working directory revision cannot be specified'), FAILED
    if isinstance(exc, error.Error):
        code = exc.detailed_exit_code
        return _formatted(exc), FAILED if code is None else code
    if isinstance(exc, error.CommandError):
        text = pycompat.bytestr(exc.message)
        command = exc.command
        return b'%s: %s' % (command, text) if command else text, 10
    if isinstance(exc, error.UnknownCommand):
        return _(b"unknown command '%s'") % exc.command, 10
    if isinstance(exc, error.AmbiguousCommand):
        matches = b' '.join(exc.matches)
        return b"command '%s' is ambiguous: %s" % (exc.prefix, matches), 10
    if isinstance(exc, OSError):
        return _ofsystem(exc)
    if isinstance(exc, MemoryError):
        return b'out of memory', FAILED
    if isinstance(exc, SystemExit):
        return b'', 254
    exit_code = FAILED if isinstance(exc, ImportError) else None
    return _withhint(exc, _text(exc)), exit_code


def _oflock(exc, reason):
    what = exc.desc or stringutil.forcebytestr(exc.filename)
    return b'%s: %s' % (what, reason)


def _withhint(exc, text):
    hint = getattr(exc, 'hint', None)
    return b'%s\n(%s)' % (text, stringutil.forcebytestr(hint)) if hint else text


def _formatted(exc):
    """the text as hg shows it, without the common beginning"""
    beginning = _(b'abort: %s\n').partition(b'%s')[0]
    return exc.format().removeprefix(beginning)


def _ofsystem(exc):
    errors = sys.modules.get('urllib.error')
    if errors is not None and isinstance(exc, errors.URLError):
        reason = exc if isinstance(exc, errors.HTTPError) else exc.reason
        args: tuple = getattr(reason, 'args', ())
        if reason is not exc and len(args) > 1:
            reason = args[1]
        return stringutil.forcebytestr(reason), 100
    strerror = getattr(exc, 'strerror', None)
    if not strerror:
        isbroken = bool(exc.args) and exc.args[0] == errno.EPIPE
        return _text(exc), FAILED if isbroken else None
    text = encoding.strtolocal(strerror)
    if exc.filename is not None:
        text = b"%s: '%s'" % (text, stringutil.forcebytestr(exc.filename))
    return text, FAILED


def _text(exc):
    try:
        return stringutil.forcebytestr(exc)
    except Exception:
        return b'<unprintable %s>' % pycompat.sysbytes(type(exc).__name__)


def shortened(text, room=MAX_TEXT):
    """the text, truncated if it is too long

    It ends between words, so that no half of a password stays, which no rule
    would recognize; between characters, if it is one word.
    """
    if len(text) <= room:
        return text
    text = text[: room - len(CUT)]
    words = text.rstrip(b'\t\n\r ')
    end = max(words.rfind(blank) for blank in (b' ', b'\n', b'\t'))
    if len(words) == len(text) and end > 0:
        words = text[:end]
    elif len(words) == len(text):
        # UTF-8: the bytes that go on with a character
        while words and words[-1] & 0xC0 == 0x80:
            words = words[:-1]
        if words and words[-1] >= 0xC0:
            words = words[:-1]
    return words + CUT


def _signal(exc):
    """the name of the signal that has interrupted a command"""
    if not isinstance(exc, error.SignalInterrupt):
        return 'SIGINT'
    tb = exc.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    variables = tb.tb_frame.f_locals if tb is not None else {}
    # hg: ui._catchterm and dispatch's, `*args`; lock._delayedinterrupt, `num`
    args: tuple = variables.get('args') or (variables.get('num'),)
    try:
        return signal.Signals(args[0]).name
    except (TypeError, ValueError):
        return type(exc).__name__


def wrapworker(module):
    """learn why workers fail"""
    # hg compares the two names
    orig = find('workers', module, '_posixworker')
    if orig is None:
        return
    if getattr(module, '_platformworker', None) is orig:
        wrapped = functools.partial(work, orig)
        module._posixworker = module._platformworker = wrapped
    elif getattr(orig, 'func', None) is not work:
        off('workers', 'worker._platformworker is another function')


def work(orig, ui, *args, **kwargs):
    """forked workers: the parent gets the error of one that aborts"""
    global _pipe
    pipe = None
    try:
        pipe = os.pipe()
        for end in pipe:
            fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
    except OSError:
        # The text is then missing.
        pass
    outer, _pipe = _pipe, pipe
    try:
        yield from orig(ui, *args, **kwargs)
    except error.WorkerError as exc:
        tryto(_takereport, exc)
        raise
    finally:
        _pipe = outer
        for end in pipe or ():
            os.close(end)


def _takereport(exc):
    if _pipe is None:
        return
    try:
        report = os.read(_pipe[0], _MAX_REPORT)
    except BlockingIOError:
        return
    if len(report) < _HEADER.size:
        return
    namelen, textlen, code = _HEADER.unpack_from(report)
    texts = report[_HEADER.size :]
    exc.uilogreport = {
        'error_type': pycompat.sysstr(texts[:namelen]),
        'error': texts[namelen : namelen + textlen],
        'detailed_exit_code': code & 255,
    }


def _ofworker(exc):
    report = getattr(exc, 'uilogreport', None)
    if report is not None:
        return report
    return {
        'error_type': type(exc).__name__,
        'error': b'a worker process has failed',
        'detailed_exit_code': exc.status_code & 255,
    }
