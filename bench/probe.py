"""What is measured inside a process of hg.

Runs as a file named `hg`, as hg does, with Mercurial's modules imported on
demand, as hg does: `hg MODE ARGUMENTS` with the arguments as JSON. Prints one
JSON value. Must not know who is compared with whom: that is the HGRCPATH.
"""

from __future__ import annotations

import hgdemandimport

hgdemandimport.enable()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

from mercurial import (  # noqa: E402
    commands,
    dispatch,
    extensions,
    hg,
    localrepo,
    ui as uimod,
)
from mercurial.repo import factory  # noqa: E402
from mercurial.utils import procutil  # noqa: E402

PAGE_BYTES = 4096
DEADLINE = 300
# Seconds from a script's last act until its process and its shells are gone.
SETTLE = 0.005


def touch(nbytes: int) -> bytearray:
    """memory that is really there"""
    memory = bytearray(nbytes)
    for at in range(0, nbytes, PAGE_BYTES):
        memory[at] = 1
    return memory


def bare_ui() -> Any:
    """a ui as hg's dispatch makes it, before it loads extensions

    Every command imports these modules sooner or later: an extension that
    needs one of them first does not add to what the command costs.
    """
    for needed in (
        commands.table,
        dispatch.dispatch,
        hg.repository,
        localrepo.localrepository,
    ):
        assert needed is not None
    return uimod.ui.load()


def load_ui() -> Any:
    """a ui as hg's dispatch makes it"""
    ui = bare_ui()
    extensions.loadall(ui)
    extensions.populateui(ui)
    return ui


def log(ui: Any) -> None:
    ui.log(
        b'foo',
        b'a message: %s\n',
        b'spam',
        duration=1.5,
        return_code=0,
        canonical_command=b'status',
    )


def timed(func: Callable[[], Any]) -> int:
    begin = time.perf_counter_ns()
    func()
    return time.perf_counter_ns() - begin


def marks() -> int:
    return os.stat(os.environ['BENCH_MARKS']).st_size


def wait_for_marks(wanted: int, pause: float) -> bool:
    deadline = time.monotonic() + DEADLINE
    while marks() < wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def modules() -> dict[str, str]:
    """which modules are there, and whether on demand only"""
    return {name: type(it).__name__ for name, it in sys.modules.items()}


def first(prepare: bool, nbytes: int = 0) -> Any:
    """the first event; `prepare` does hg's own part of it beforehand"""
    memory = touch(nbytes)
    ui = load_ui()
    if prepare:
        procutil.hgexecutable()
        procutil.shellenviron()
    before = modules()
    nanoseconds = timed(lambda: log(ui))
    after = modules()
    imported = [name for name in after if after[name] != before.get(name)]
    second = timed(lambda: log(ui))
    del memory
    return {'first': nanoseconds, 'second': second, 'imported': imported}


def pieces() -> Any:
    """the system calls of a first event, bare, each for the first time"""
    import mmap
    import socket

    load_ui()
    # Imported on demand: not in the measurement.
    maps = mmap.mmap
    result = {}

    def piece(name: str, func: Callable[[], Any]) -> Any:
        begin = time.perf_counter_ns()
        value = func()
        result[name] = time.perf_counter_ns() - begin
        return value

    def queue() -> int:
        descriptor = os.memfd_create('bench')
        os.pwrite(descriptor, b'x' * 576, 0)
        return descriptor

    def append() -> None:
        os.pwrite(memory, b'x' * 1600, 4096)
        os.pwrite(memory, b'x' * 16, 64)
        os.getcwd()
        pair[0].send(b'!')

    piece('hgexecutable, which is hg\'s own', procutil.hgexecutable)
    memory = piece('the queue: memfd_create, pwrite', queue)
    pair = piece('socketpair', socket.socketpair)
    stack = piece('a stack: mmap', lambda: maps(-1, 69632))
    piece('the event: pwrite (2), getcwd, send', append)
    stack.close()
    return result


def grouped(nbytes: int, groups: int, size: int) -> Any:
    """groups of events in a row; before each, all scripts have ended

    Events that pile up would measure how scripts compete for the processor.
    """
    memory = touch(nbytes)
    ui = load_ui()
    tracked = any(it.tracked(b'foo') for it in ui._loggers.values())
    # The process's first event is measured elsewhere.
    result = in_groups(lambda: log(ui), groups, size, tracked)
    del memory
    return {**result, **dispatcher(ui)}


def in_groups(
    func: Callable[[], Any], groups: int, size: int, wait: bool
) -> dict[str, list[int]]:
    alone, row = [], []
    for group in range(groups + 1):
        samples = [timed(func) for _ in range(size)]
        if wait:
            wait_for_marks((group + 1) * size, 0.0005)
        time.sleep(SETTLE)
        if group > 0:
            alone.append(samples[0])
            row += samples[1:]
    return {'alone': alone, 'row': row}


def log_command(ui: Any, number: int) -> None:
    """what hg logs at the end of a command"""
    ui.log(
        b'commandfinish',
        b'commit --message "a message of some length" exited 0 '
        b'after 0.25 seconds\n',
        canonical_command=b'commit',
        return_code=0,
        duration=0.25,
        number=number,
    )


def to_sinks(groups: int, size: int) -> Any:
    """groups of events for whoever takes them, and of whole commands"""
    ui = load_ui()
    return {
        'event': in_groups(lambda: log(ui), groups, size, False),
        **commands_in_groups(ui, groups, size),
        **dispatcher(ui),
    }


def ends(groups: int, size: int) -> Any:
    """groups of ends of commands"""
    ui = load_ui()
    return in_groups(lambda: log_command(ui, 0), groups, size, False)


def one_by_one(where: str, count: int) -> Any:
    """so many commands, one after the other: processes that share what they
    have loaded; each logs its end"""
    ui = open_repository(where).ui
    for number in range(count):
        child = os.fork()
        if child == 0:
            try:
                log_command(ui, number)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def commands_in_groups(ui: Any, groups: int, size: int) -> Any:
    """the beginnings and the ends of commands, one after the other"""
    kinds = ('alone', 'row')
    found: dict[str, dict[str, list[int]]] = {
        what: {kind: [] for kind in kinds} for what in ('begin', 'end')
    }
    for group in range(groups + 1):
        for at in range(size):
            begin = timed(lambda: ui.log(b'command', b'commit\n'))
            end = timed(lambda: log_command(ui, 0))
            if group > 0:
                kind = 'row' if at else 'alone'
                found['begin'][kind].append(begin)
                found['end'][kind].append(end)
        time.sleep(SETTLE)
    return found


def feed(where: str, count: int) -> Any:
    """so many commands' ends as fast as they are taken, until none waits"""
    ui = open_repository(where).ui
    begin = time.perf_counter_ns()
    for number in range(count):
        log_command(ui, number)
    waited = time.perf_counter_ns() - begin
    deadline = time.monotonic() + DEADLINE
    while dispatcher(ui)['dispatcher']['waiting']:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return {'waited': waited, **dispatcher(ui)}


def forked(where: str, count: int, begins: bool = True) -> Any:
    """so many commands at once: processes that share what they have loaded

    Each logs its beginning, if that is asked for, waits for a line of input,
    logs its end, and waits for the next line.
    """
    ui = open_repository(where).ui
    go, end = os.pipe(), os.pipe()
    ready, told = os.pipe(), os.pipe()
    for number in range(count):
        if os.fork() == 0:
            for it in (go, end):
                os.close(it[1])
            try:
                if begins:
                    ui.log(b'command', b'commit --message "a message"\n')
                os.write(ready[1], b'!')
                os.read(go[0], 1)
                begin = time.perf_counter_ns()
                log_command(ui, number)
                took = time.perf_counter_ns() - begin
                os.write(told[1], took.to_bytes(8, 'little'))
                os.read(end[0], 1)
            finally:
                os._exit(0)
    for _ in range(count):
        os.read(ready[0], 1)
    print('ready', flush=True)
    sys.stdin.readline()
    os.close(go[1])
    samples = []
    for _ in range(count):
        samples.append(int.from_bytes(os.read(told[0], 8), 'little'))
    print('logged', flush=True)
    sys.stdin.readline()
    os.close(end[1])
    for _ in range(count):
        os.wait()
    return {'samples': samples}


def floor(groups: int, size: int) -> Any:
    """the same with nothing but a few system calls that wake a process

    They are what a lone event needs at least: what hg and the event have to
    say, written to memory, and somebody woken up to read it.
    """
    import socket

    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        while theirs.recv(4096):
            pass
        os._exit(0)
    theirs.close()
    memory = os.memfd_create('bench')

    def calls() -> None:
        os.getuid()
        os.getcwd()
        os.pwrite(memory, b'x' * 200, 4096)
        os.pwrite(memory, b'x' * 16, 0)
        ours.send(b'!')

    return in_groups(calls, groups, size, False)


def burst(count: int, where: Any = None, peers: int = 0) -> Any:
    """events as fast as they can be logged, perhaps with open peers"""
    ui = load_ui()
    opened = [open_peer(ui, where) for _ in range(peers)]
    begin = time.perf_counter_ns()
    samples = [timed(lambda: log(ui)) for _ in range(count)]
    waited = time.perf_counter_ns() - begin
    wait_for_marks(count, 0.01)
    total = time.perf_counter_ns() - begin
    # Scripts that run twice would come late.
    time.sleep(0.2)
    for peer in opened:
        peer.close()
    return {
        'samples': samples,
        'waited': waited,
        'total': total,
        'ran': marks(),
        **dispatcher(ui),
    }


def dispatcher(ui: Any) -> dict[str, Any]:
    """what uilog's dispatcher says of itself and /proc of it"""
    logger = ui.getlogger(b'uilog')
    if logger is None:
        return {}
    status = logger.status()
    pid = status['dispatcher'].get('pid')
    memory = {}
    if pid:
        with open('/proc/%d/status' % pid) as file:
            for line in file:
                name, _, value = line.partition(':')
                if name in ('VmHWM', 'VmRSS', 'RssAnon', 'RssFile'):
                    memory[name] = int(value.split()[0]) * 1024
    return {
        'memory': memory,
        'dispatcher': status['dispatcher'],
        'counters': status['counters'],
    }


def runbg(nbytes: int, count: int, pause_ms: int, ensure: bool) -> Any:
    """stock hg's way to start a program"""
    memory = touch(nbytes)
    samples = []
    for _ in range(count):
        samples.append(
            timed(
                lambda: procutil.runbgcommand([b'true'], {}, ensurestart=ensure)
            )
        )
        time.sleep(pause_ms / 1000)
    del memory
    return samples


def runbg_forking(nbytes: int, count: int, pause_ms: int) -> Any:
    """the same with a Python whose subprocess has no vfork (before 3.10)"""
    import subprocess

    subprocess._USE_VFORK = False  # type: ignore[attr-defined]
    return runbg(nbytes, count, pause_ms, False)


def load(name: str, before: str) -> Any:
    """loading one extension, perhaps after another, and making its logger"""
    ui = bare_ui()
    if before:
        extensions.load(ui, before.encode(), b'')
    nanoseconds = timed(lambda: extensions.load(ui, name.encode(), b''))
    setup = timed(lambda: extensions.loadall(ui))
    populate = timed(lambda: extensions.populateui(ui))
    return {'load': nanoseconds, 'setup': setup, 'populate': populate}


def load_all() -> Any:
    """everything that loading the configured extensions costs"""
    ui = bare_ui()

    def everything() -> None:
        extensions.loadall(ui)
        extensions.populateui(ui)

    return timed(everything)


def open_peer(ui: Any, where: dict[str, str]) -> Any:
    """a peer as a command opens it: its URL, and the commands for it"""
    names = ('ssh', 'remotecmd')
    opts = {name.encode(): where[name].encode() for name in names}
    return factory.peer(ui, opts, where['url'].encode())


def peers(where: dict[str, str]) -> Any:
    """opening a peer and closing it, once for each line of input"""
    ui = load_ui()
    for _line in sys.stdin:
        begin = time.perf_counter_ns()
        peer = open_peer(ui, where)
        opened = time.perf_counter_ns()
        peer.close()
        closed = time.perf_counter_ns()
        print(json.dumps([opened - begin, closed - opened]), flush=True)


def descriptors(where: dict[str, str], count: int) -> Any:
    """how many descriptors are open before, with and after open peers

    A peer that is closed may still be held, until nobody uses it any more.
    """
    ui = load_ui()
    # What the first one leaves open for good is none of the later ones'.
    open_peer(ui, where).close()

    def taken() -> int:
        return len(os.listdir('/proc/self/fd'))

    before = taken()
    opened = [open_peer(ui, where) for _ in range(count)]
    during = taken()
    for peer in opened:
        peer.close()
    closed = taken()
    del peer, opened
    return {
        'before': before,
        'during': during,
        'closed': closed,
        'after': taken(),
    }


def open_repository(where: str) -> Any:
    """a repository as a command opens it"""
    return hg.repository(load_ui(), where.encode())


def lines(where: str, count: int) -> Any:
    """lines of a repository's blackbox"""
    ui = open_repository(where).ui
    # The first one reads the configuration and the dirstate.
    log(ui)
    return [timed(lambda: log(ui)) for _ in range(count)]


def appends(where: str, count: int) -> Any:
    """the system calls of a line, bare"""
    path = os.path.join(where, '.hg', 'floor')
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC

    def append() -> None:
        descriptor = os.open(path, flags, 0o666)
        os.fstat(descriptor)
        os.write(descriptor, b'x' * 100)
        os.close(descriptor)

    append()
    return [timed(append) for _ in range(count)]


def crowd(where: str, count: int, tag: str) -> Any:
    """lines among those of other processes; when the last one was written"""
    ui = open_repository(where).ui
    print('ready', flush=True)
    sys.stdin.readline()
    message = b'%s tagged %%d\n' % tag.encode()
    for number in range(count):
        ui.log(b'foo', message, number)
    return time.perf_counter_ns()


MODES: dict[str, Callable[..., Any]] = {
    'first': first,
    'pieces': pieces,
    'grouped': grouped,
    'to_sinks': to_sinks,
    'ends': ends,
    'one_by_one': one_by_one,
    'feed': feed,
    'forked': forked,
    'floor': floor,
    'burst': burst,
    'runbg': runbg,
    'runbg_forking': runbg_forking,
    'load': load,
    'load_all': load_all,
    'peers': peers,
    'descriptors': descriptors,
    'lines': lines,
    'appends': appends,
    'crowd': crowd,
}

if __name__ == '__main__':
    result = MODES[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps(result, default=os.fsdecode))
