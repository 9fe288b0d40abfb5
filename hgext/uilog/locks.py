# locks.py - what a command waits for when a repository is locked
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""waits for hg's locks, their holders, and broken locks

Loaded when a lock is found held for the first time. For how long this process
holds locks itself, the native module counts.
"""

from __future__ import annotations

import sys
import threading
import types

from mercurial import error, lock as lockmod, util

from . import _native, tryto

# Maximum number of calls between hg's trylock and here.
MAX_CALLS = 8

# For each thread, its wait.
_waits: dict = {}


class Wait:
    """a wait for a lock, from the first refusal on"""

    def __init__(self, ui, name):
        self.ui = ui
        self.name = name
        self.began = util.timer()
        # Contents of the lock file, how often, and what is known about each.
        self.holders = {}
        self.isphase = False

    def refuse(self, holder):
        """note the holder, while it lives"""
        counted = self.holders.get(holder)
        if counted is None:
            counted = self.holders[holder] = [0, {}]
            counted[1].update(_facts(holder))
            self.endphase()
            phase = {'lock': self.name, **counted[1]}
            _native.begin_phase(b'lock', phase)
            self.isphase = True
        counted[0] += 1

    def endphase(self):
        if self.isphase:
            self.isphase = False
            _native.end_phase()

    def end(self, outcome):
        waited = util.timer() - self.began
        self.endphase()
        _native.add_cost('lock_wait', waited)
        # The holder that was seen most often has held it longest.
        holder, facts = b'', {}
        if self.holders:
            holder = max(self.holders, key=lambda it: self.holders[it][0])
            facts = self.holders[holder][1]
        if len(self.holders) > 1:
            facts = {**facts, 'holders': len(self.holders)}
        self.ui.log(
            b'lockwait',
            b'waited %0.2f seconds for %s held by %s (%s)\n',
            waited,
            self.name,
            holder or b'others',
            outcome,
            lock=self.name,
            waited=waited,
            outcome=outcome,
            **facts,
        )


def _facts(holder):
    """what is known about the process in a lock file"""
    facts = {'holder': holder}
    host, separator, pid = holder.partition(b':')
    if not separator or not pid.isdigit():
        return facts
    # hg: lock._getlockprefix appends the number of the pid namespace
    facts['holder_host'] = host.split(b'/', 1)[0]
    facts['holder_pid'] = int(pid)
    if host == lockmod.lock._host:
        session, command = _native.running_hg(int(pid))
        if command is not None:
            facts['holder_command'] = command.encode()
        if session is not None:
            facts['holder_session'] = session.encode()
    return facts


def testlock(orig, self, locker):
    """hg's method that breaks a lock if its holder is dead"""
    isdead = False
    judge = self._lockshouldbebroken

    def judging(locker):
        nonlocal isdead
        isdead = judge(locker)
        return isdead

    self._lockshouldbebroken = judging
    try:
        holder = orig(self, locker)
    finally:
        del self._lockshouldbebroken
    tryto(_note, self, locker, holder, isdead)
    return holder


def _note(lock, locker, holder, isdead):
    arguments = _asked(lock)
    if arguments is None:
        return
    if holder is None:
        # Otherwise another process was faster.
        if isdead:
            _tellbroken(arguments, locker)
        return
    if arguments['timeout'] <= 0 and not _isneeded():
        return
    thread = threading.get_ident()
    wait = _waits.get(thread)
    if wait is None:
        wait = _waits[thread] = Wait(arguments['ui'], arguments['lockname'])
    wait.refuse(holder)


def _asked(lock):
    """the arguments of the call of hg's trylock that is about this lock"""
    frame: types.FrameType | None = sys._getframe(2)
    for _call in range(MAX_CALLS):
        if frame is None:
            break
        if (
            frame.f_code.co_name == 'trylock'
            and frame.f_globals.get('__name__') == lockmod.__name__
        ):
            # hg takes another lock to break this one.
            return frame.f_locals if frame.f_locals['l'] is lock else None
        frame = frame.f_back
    return None


def _isneeded():
    """whether the command fails without the lock, though it does not wait

    `ui.timeout = 0` is one thing, another is a command that takes a lock only
    if it is free (`hg status`): hg asks for both with no time to wait.
    """
    frame: types.FrameType | None = sys._getframe(3)
    for _call in range(MAX_CALLS):
        if frame is None:
            break
        # hg: localrepository._lock
        if (
            frame.f_code.co_name == '_lock'
            and frame.f_globals.get('__name__') == 'mercurial.localrepo'
        ):
            return bool(frame.f_locals.get('wait'))
        frame = frame.f_back
    return False


def _tellbroken(asked, locker):
    facts = _facts(locker)
    asked['ui'].log(
        b'lockbroken',
        b'broke %s of %s, which has ended\n',
        asked['lockname'],
        locker,
        lock=asked['lockname'],
        **facts,
    )


def get(args, lock, waited):
    """note that a lock has been got, so many seconds after it was asked for"""
    wait = _waits.pop(threading.get_ident(), None)
    if wait is None and lock.delay:
        # The lock file was always gone when hg read it.
        wait = Wait(args[0], lock.f)
        wait.began -= waited
    if wait is not None:
        wait.end(b'got')


def fail(err):
    """note that a lock could not be taken"""
    wait = _waits.pop(threading.get_ident(), None)
    if wait is None:
        return
    if isinstance(err, error.LockHeld):
        wait.end(b'timeout')
    elif isinstance(err, KeyboardInterrupt):
        wait.end(b'interrupted')
    else:
        wait.end(b'failed')
