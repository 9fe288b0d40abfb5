"""The output of hg and uilog, and the processes that hold it open.

A reader of the output waits for no process of uilog's, and finds no text of
uilog's in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fleet
import ports
import processes
import pytest
from conftest import Home, until

HELPERS = Path(__file__).parent / "helpers"

# What makes Rust programs talkative that listen to these.
TALKATIVE = {
    "RUST_LOG": "trace",
    "RUST_LOG_STYLE": "always",
    "RUST_BACKTRACE": "full",
}


def finish(
    home: Home, *args: str, cwd: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, whatever its status."""
    return subprocess.run(
        args,
        env={**home.env, **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
    )


@contextlib.contextmanager
def hanging_collector() -> Iterator[int]:
    """The port of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_standard_output_is_for_programs(home: Home) -> None:
    repository = home.repository()
    keeper = ports.keep()
    # As much as possible is wrong.
    home.configure(
        "[extensions]\nblackbox =\n[blackbox]\nmaxsize = much\n"
        f"[uilog]\nsink.away = otlp:http://127.0.0.1:{ports.port_of(keeper)}\n"
        "sink.bad = gopher:x\nmax-scripts = lots\nunknown = 1\n"
        "[logtoprocess]\ncommandfinish = exit 1\nnothing:stdin = xml\n"
    )
    stock = finish(
        home,
        *("hg", "--debug", "log", "-T", "json"),
        *("--config", "extensions.uilog=!", "--config", "blackbox.maxsize=1"),
        cwd=repository,
    )
    ours = finish(
        home,
        *("hg", "--debug", "log", "-T", "json"),
        cwd=repository,
        **TALKATIVE,
    )
    assert (ours.returncode, ours.stdout) == (0, stock.stdout)
    assert json.loads(ours.stdout)
    # It is said, but not there.
    assert "uilog: " in ours.stderr
    assert "uilog.max-scripts: 'lots' is not" in ours.stderr
    for command in (
        ("hg", "log", "-T", "json"),
        ("hg", "blackbox", "-T", "json"),
        ("hg", "debuguilog", "-T", "json"),
        ("uilog", "status", "-T", "json"),
        ("uilog", "check", "-T", "json"),
        ("uilog", "config", "-T", "json"),
        ("uilog", "spool", "-T", "json"),
        ("uilog", "spool", "flush", "-T", "json"),
        ("uilog", "run", "--", "hg", "log", "-T", "json"),
    ):
        done = finish(home, *command, cwd=repository, **TALKATIVE)
        assert json.loads(done.stdout), command
        assert "TRACE" not in done.stderr, command
        assert "DEBUG" not in done.stderr, command
    keeper.close()


@pytest.mark.parametrize(
    "command",
    [
        ("hg", "id"),
        ("uilog", "run", "--", "hg", "id"),
        ("uilog", "emit", "commandfinish", "text"),
    ],
    ids=lambda it: "-".join(word for word in it if word.isalpha()),
)
def test_nobody_of_ours_holds_what_hg_inherited(
    home: Home, command: tuple[str, ...]
) -> None:
    repository = home.repository()
    pipes = [os.pipe() for _ in range(4)]
    with hanging_collector() as port, contextlib.ExitStack() as stack:
        # Whatever happens, who waits is let go: for the collector, too.
        stack.callback(end_dispatchers, home)
        stack.callback((home.out / "go").touch)
        home.configure(
            f"[uilog]\nsink.hung = otlp:http://127.0.0.1:{port}\n"
            "[logtoprocess]\ncommandfinish = cat > $OUT/got;"
            " while ! test -e $OUT/go; do sleep 0.05; done\n"
            "commandfinish:stdin = json\n"
        )
        (_, out), (_, err), (_, other), (inp, _) = pipes
        program = subprocess.Popen(
            command,
            env=home.env,
            cwd=repository,
            stdin=inp,
            stdout=out,
            stderr=err,
            pass_fds=[other],
        )
        assert program.wait(processes.DEADLINE) == 0
        until("the script", lambda: home.read("got"))
        ours = processes.of_home(str(home.path))
        assert any(it.is_dispatcher() for it in ours)
        held = {os.readlink(f"/proc/self/fd/{ends[0]}") for ends in pipes}
        for process in ours:
            assert not links(process.pid) & held, str(process)
        for read, write in pipes:
            os.close(write)
            # The last one is not for hg to write to.
            if read != inp:
                os.set_blocking(read, False)
                while os.read(read, 4096):
                    pass
            os.close(read)


def end_dispatchers(home: Home) -> None:
    for pid in fleet.dispatchers(home):
        os.kill(pid, signal.SIGTERM)


def links(pid: int) -> set[str]:
    """What a process has open."""
    found = set()
    # It may end, or close something, meanwhile.
    with contextlib.suppress(FileNotFoundError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.add(os.readlink(fd))
    return found


def test_a_script_may_leave_its_input_unread(home: Home) -> None:
    # More than a pipe holds, for scripts that read nothing, a part, or all.
    size = 1 << 20
    home.extension(
        "large",
        "from mercurial import registrar\n"
        "cmdtable = {}\n"
        "command = registrar.command(cmdtable)\n"
        "@command(b'large', [], norepo=True)\n"
        "def large(ui):\n"
        "    for number in range(4):\n"
        "        for name in (b'none', b'closed', b'part', b'all'):\n"
        f"            ui.log(name, b'%s\\n', b'x' * {size})\n",
    )
    home.configure(
        "[uilog]\nmax-scripts = 2\n[logtoprocess]\n"
        "none = true\nnone:stdin = json\n"
        "closed = exec <&-; exit 0\nclosed:stdin = json\n"
        "part = head -c 10 > /dev/null\npart:stdin = json\n"
        "all = wc -c >> $OUT/all\nall:stdin = json\n"
    )
    assert home.hg("large") == ""
    until("those that read", lambda: len(home.read("all").split()) == 4)
    assert all(int(it) > size for it in home.read("all").split())
    assert not processes.wait_until_gone(str(home.path))
    # Nobody has been killed for it, not by SIGPIPE either.
    assert not (home.path / ".local").exists()


def test_no_command_waits_for_a_name(home: Home) -> None:
    for program in ("unshare", "strace", "mount"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")
    black_hole = [
        *("unshare", "--user", "--map-root-user", "--mount", "--net"),
        *(sys.executable, "-IS", str(HELPERS / "black_hole.py")),
        str(home.path),
    ]
    probe = subprocess.run([*black_hole, "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip(f"there are no namespaces: {probe.stderr.decode()}")
    repository = home.repository()
    home.configure(
        # Its own dispatchers ask for names: an agent may be another's.
        "[uilog]\nagent = no\n"
        "sink.fleet = otlp:http://collector.example:4318\n"
        "sink.logs = syslog+tcp://logs.example:514\n"
        "[logtoprocess]\ncommandfinish = echo x >> $OUT/finish\n"
    )
    trace = "strace -fqq -Y -e trace=openat,connect,sendto,sendmmsg -o $OUT"
    script = f"""
        # One sink has not taken it, which emit waits for within a bound.
        uilog emit note text; test $? = 1 || exit 1
        uilog run -- true || exit 1
        touch $OUT/programs
        while ! test -e $OUT/go; do sleep 0.05; done
        {trace}/reading sh -c 'uilog status; uilog check; uilog spool;
            uilog config' > $OUT/said
        {trace}/hg sh -c 'hg id && hg debuguilog > /dev/null &&
            touch $OUT/hg.done'
    """
    shell = subprocess.Popen(
        [*black_hole, "sh", "-c", script], env=home.env, cwd=repository
    )
    with contextlib.ExitStack() as stack:
        stack.callback(shell.wait, processes.DEADLINE)
        stack.callback(end_dispatchers, home)
        stack.callback((home.out / "go").touch)
        until("the programs", (home.out / "programs").exists)
        # Those that wait for a name are theirs. One may have given up.
        until("who waits for a name", lambda: fleet.dispatchers(home))
        end_dispatchers(home)
        (home.out / "go").touch()
        until("hg", (home.out / "hg.done").exists)

        def asked() -> list[str]:
            return questions(home.out / "hg")

        until("somebody to ask for a name", asked)
        # Not hg: threads of its dispatcher, by their names.
        names = {it.partition("<")[2].partition(">")[0] for it in asked()}
        ours = {"uilog", "uilog-otlp", "uilog-signal"}
        assert names <= ours | {"resolve", "fleet", "logs"}
        assert "fleet" in home.read("said")
        assert not questions(home.out / "reading")
    assert shell.returncode == 0


def questions(trace: Path) -> list[str]:
    """The lines of a trace where somebody asks a resolver, or looks for one."""
    signs = ("resolv.conf", "/etc/hosts", "htons(53)")
    lines = trace.read_text(errors="replace").splitlines()
    return [line for line in lines if any(sign in line for sign in signs)]
