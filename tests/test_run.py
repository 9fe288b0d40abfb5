"""`uilog run` as the parent of a command: signals, ends, inheritance.

Neither the command nor its parent must notice uilog.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import Home, until
from run_processes import LISTENER, gone, in_state

HELPERS = Path(__file__).parent / "helpers"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="uilog run is for Linux"
)

## Scripts, and other parents


def shell(
    home: Home, script: str, **more: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        env=home.env,
        cwd=home.path,
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
        **more,
    )


@contextlib.contextmanager
def listener(home: Home, *names: str) -> Iterator[subprocess.Popen[str]]:
    """The listener under `uilog run`, which is the returned process."""
    path = home.path / "listener.py"
    path.write_text(LISTENER)
    process = subprocess.Popen(
        ["uilog", "run", "--", sys.executable, str(path), *names],
        env=home.env,
        cwd=home.path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_a_signal_to_us_is_for_the_command(home: Home) -> None:
    numbers = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    with listener(home, *(str(int(number)) for number in numbers)) as process:
        line_of(process)
        for number in numbers:
            process.send_signal(number)
            assert line_of(process) == f"got {name_of(number)}"


def name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def test_a_queued_signal_keeps_its_value(home: Home) -> None:
    script = (
        "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, [s.SIGRTMIN]);"
        " print('there', flush=True);"
        " info = s.sigwaitinfo([s.SIGRTMIN]);"
        " print(info.si_code, flush=True)"
    )
    process = subprocess.Popen(
        ["uilog", "run", "--", sys.executable, "-c", script],
        env=home.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert line_of(process) == "there"
    kill = shutil.which("kill") or "/bin/kill"
    subprocess.run(
        [kill, "-s", str(int(signal.SIGRTMIN)), "-q", "77", str(process.pid)],
        check=True,
    )
    # SI_QUEUE
    assert line_of(process) == "-1"
    assert process.wait() == 0
    assert process.stdout is not None
    process.stdout.close()


def test_what_the_command_sends_us_is_not_sent_back(home: Home) -> None:
    done = shell(
        home,
        "uilog run -- bash -c 'trap \"echo got\" USR1;"
        " trap \"exit 3\" USR2; kill -USR1 $PPID;"
        " (sleep 0.3; kill -USR2 $$) & while :; do sleep 0.1; done'",
    )
    assert (done.returncode, done.stdout) == (3, "")


def test_we_do_not_die_before_the_command(home: Home) -> None:
    with listener(home, "SIGTERM") as process:
        pid = int(line_of(process).split()[1])
        for _ in range(3):
            process.terminate()
            assert line_of(process) == "got SIGTERM"
        assert process.poll() is None
        os.kill(pid, signal.SIGINT)
        assert process.wait() == -signal.SIGINT or process.returncode == 1


def test_a_script_kills_its_background_command(home: Home) -> None:
    done = shell(
        home,
        "uilog run -- sleep 100 & kill $!; wait $!; echo $?;"
        "uilog run -- sleep 100 & sleep 0.2; kill -KILL $!; wait $!; echo $?",
    )
    assert done.stdout == "143\n137\n"


def test_sigkill_takes_the_command_with_us(home: Home) -> None:
    with listener(home) as process:
        pid = int(line_of(process).split()[1])
        process.kill()
        gone(pid)


def test_timeout(home: Home) -> None:
    done = shell(
        home,
        "timeout 0.2 uilog run -- sleep 100; echo $?;"
        "timeout --foreground 0.2 uilog run -- sleep 100; echo $?;"
        "timeout -s KILL 0.2 uilog run -- sleep 100; echo $?",
    )
    assert done.stdout == "124\n124\n137\n"


def test_an_alarm_that_was_set_before(home: Home) -> None:
    done = shell(
        home,
        "python3 -c 'import os, signal; signal.setitimer(signal.ITIMER_REAL,"
        " 0.2); os.execvp(\"uilog\", [\"uilog\", \"run\", \"--\","
        " \"sleep\", \"100\"])'; echo $?",
    )
    assert done.stdout == f"{128 + signal.SIGALRM}\n"


def test_nohup(home: Home) -> None:
    path = home.path / "listener.py"
    path.write_text(LISTENER)
    done = shell(
        home,
        "nohup uilog run -- sleep 100 & pid=$!; "
        "until grep -q uilog /proc/$pid/comm; do sleep 0.01; done;"
        "until pgrep -P $pid sleep >/dev/null; do sleep 0.01; done;"
        "kill -HUP $pid; sleep 0.2; kill -0 $pid && echo there;"
        "kill $pid; wait $pid; echo $?",
    )
    assert done.stdout == "there\n143\n"


def test_pipelines(home: Home) -> None:
    done = shell(
        home,
        "uilog run -- yes | head -2; echo ${PIPESTATUS[0]};"
        "printf 'a\\nb\\n' | uilog run -- cat | uilog run -- tail -1",
    )
    assert done.stdout == f"y\ny\n{128 + signal.SIGPIPE}\nb\n"
    # Where SIGPIPE is ignored, it stays so.
    done = shell(
        home,
        "trap '' PIPE; uilog run -- yes 2>/dev/null | head -1;"
        " echo ${PIPESTATUS[0]}",
    )
    assert done.stdout == "y\n1\n"


def test_a_command_that_leaves_a_process_behind(home: Home) -> None:
    # It holds the pipe, but nobody waits for it but the one who reads that.
    done = shell(
        home,
        "uilog run -- sh -c 'sleep 0.5 & exit 6' >/dev/null; echo $?",
    )
    assert done.stdout == "6\n"


## The end


def test_every_exit_status(home: Home) -> None:
    script = "for i in `seq 0 255`; do uilog run -- sh -c \"exit $i\";"
    done = shell(home, script + " echo $?; done")
    assert done.stdout.split() == [str(status) for status in range(256)]


# Of x86-64: the only machine that is tested.
SYS_RT_SIGACTION, SYS_RT_SIGPROCMASK, SIG_SETMASK = 13, 14, 2


def fatal() -> list[int]:
    harmless = {
        *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
        *(signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    }
    named = [int(number) for number in signal.Signals if number not in harmless]
    # The C library keeps 32 and 33 for itself.
    return [*named, 32, 33, int(signal.SIGRTMIN) + 1]


@pytest.mark.parametrize("number", fatal(), ids=lambda it: name_of(it))
def test_every_fatal_signal(home: Home, number: int) -> None:
    def reset() -> None:
        # Whoever has started us in the background may have it ignored, and
        # the C library may just have blocked its own: by the kernel's calls,
        # since it lets nobody else change these.
        libc = ctypes.CDLL(None)
        default = ctypes.create_string_buffer(32)
        libc.syscall(SYS_RT_SIGACTION, number, default, None, 8)
        libc.syscall(SYS_RT_SIGPROCMASK, SIG_SETMASK, default, None, 8)

    done = subprocess.run(
        ["uilog", "run", "--", "sh", "-c", f"kill -{int(number)} $$"],
        env=home.env,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        timeout=processes.DEADLINE,
        preexec_fn=reset,
    )
    assert done.returncode == -number
    assert not list(home.path.glob("core*"))


def test_what_cannot_be_started(home: Home) -> None:
    (home.path / "data").write_text("echo run by a shell: $0 $1\n")
    (home.path / "bad").write_text("#!/no/such/interpreter\n")
    (home.path / "bad").chmod(0o755)
    (home.path / "program").write_text("echo run by a shell: $0 $1\n")
    (home.path / "program").chmod(0o755)
    done = shell(
        home,
        "for name in no-such ./no-such ./data . ./data/x '' ./bad; do"
        " uilog run -- \"$name\"; echo $?; done; uilog run -- ./program one;"
        " PATH=$PATH:. uilog run -- program two",
    )
    assert done.stdout.splitlines() == [
        *("127", "127", "126", "126", "126", "127", "127"),
        "run by a shell: ./program one",
        "run by a shell: ./program two",
    ]
    assert done.stderr.splitlines() == [
        "uilog: cannot run 'no-such': No such file or directory",
        "uilog: cannot run './no-such': No such file or directory",
        "uilog: cannot run './data': Permission denied",
        "uilog: cannot run '.': Permission denied",
        "uilog: cannot run './data/x': Not a directory",
        "uilog: cannot run '': No such file or directory",
        "uilog: cannot run './bad': No such file or directory",
    ]


## What the command gets


SITUATIONS = {
    "plain": "",
    "closed": "exec 0<&- 2>&-",
    "all closed": "exec 0<&- 1>&- 2>&-",
    "more descriptors": "exec 7</dev/null 63>>$OUT/x",
    "ignored signals": "trap '' INT HUP QUIT PIPE TERM USR1 CHLD",
    "limits": "ulimit -n 99; ulimit -c 0; ulimit -s 4096; ulimit -f 9999",
    "the limit of file sizes ignored": "trap '' XFSZ",
    "umask": "umask 027",
    "nice": "renice -n 5 -p $$ >/dev/null",
    "odd variables": "export 'A=b=c' B=; set -- '' ' ' $'\\xff' --",
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_everything_is_inherited(home: Home, name: str) -> None:
    command = f"{sys.executable} -S {HELPERS}/inherited.py \"$@\""
    done = shell(
        home,
        f"{SITUATIONS[name]}\nset -- \"$@\" -x --\n"
        f"export AS\nAS=bare; {command}\nAS=ours; uilog run -- {command}\n:\n",
        stdin=subprocess.DEVNULL,
    )
    assert home.read("bare"), done.stderr
    assert home.read("bare") == home.read("ours").replace("AS=ours", "AS=bare")


def test_blocked_signals_are_inherited(home: Home) -> None:
    for run, name in ([], "bare"), (["uilog", "run", "--"], "ours"):
        subprocess.run(
            [*run, sys.executable, "-S", str(HELPERS / "inherited.py")],
            env={**home.env, "AS": name},
            check=True,
            preexec_fn=lambda: (
                signal.pthread_sigmask(
                    signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGRTMIN + 3}
                ),
                None,
            )[1],
        )
    bare = home.read("bare")
    assert bare == home.read("ours").replace("AS=ours", "AS=bare")
    assert "SigBlk 0000000000000000" not in bare


def test_the_end_is_known_though_children_are_not_waited_for(
    home: Home,
) -> None:
    for command, expected in ("exit 5", 5), ("kill -TERM $$", -15):
        done = subprocess.run(
            ["uilog", "run", "--", "sh", "-c", command],
            env=home.env,
            preexec_fn=lambda: (
                signal.signal(signal.SIGCHLD, signal.SIG_IGN),
                None,
            )[1],
            timeout=processes.DEADLINE,
        )
        assert done.returncode == expected


def test_a_command_runs_though_there_is_no_descriptor(home: Home) -> None:
    # The loader needs one, and gives it back.
    done = shell(home, "ulimit -n 4; uilog run -- sh -c 'echo here; exit 3'")
    assert (done.returncode, done.stdout) == (3, "here\n")


def test_a_limit_of_file_sizes_is_an_error_of_our_writes(home: Home) -> None:
    home.configure("[uilog]\n[logtoprocess]\ncommandfinish = true\n")
    for limit in 0, 1, 4, 100:
        script = f"ulimit -f {limit}; uilog run -- sh -c 'echo here; exit 3'"
        done = shell(home, script)
        assert (done.returncode, done.stdout) == (3, "here\n"), limit
    # The beginning is logged while the command runs.
    home.configure("[logtoprocess]\ncommand = true\ncommandfinish = true\n")
    done = shell(home, "ulimit -f 4; uilog run -- sleep 1.5; echo $?")
    assert (done.stdout, done.stderr) == ("0\n", "")
    lost = failures(home)
    # Of the others it is told that no page of counters can be kept.
    assert {failure["kind"] for failure in lost} == {"lost", "not-started"}
    told = {failure["detail"] for failure in lost if failure["lost"]}
    assert all("File too large" in detail for detail in told)
    # The command's own is the command's.
    done = shell(
        home,
        "ulimit -f 1; uilog run -- sh -c 'yes >$OUT/long'; echo $?",
    )
    assert done.stdout == f"{128 + signal.SIGXFSZ}\n"


@pytest.mark.parametrize(
    "limit", ["-t 5", "-n 5", "-n 6", "-n 8", "-v 200000", "-c 0 -s 256"]
)
def test_limits_are_the_commands(home: Home, limit: str) -> None:
    home.configure("[logtoprocess]\ncommandfinish = true\n")
    for command in "exit 3", "kill -USR1 $$":
        script = f"ulimit {limit}; %s sh -c 'echo here; {command}'; echo $?"
        bare = shell(home, script % "")
        ours = shell(home, script % "uilog run --")
        assert ours.stdout == bare.stdout, (limit, ours.stderr)
        assert "here" in bare.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_command_runs_though_there_is_no_process(home: Home) -> None:
    """Without us it needs none but the shell's."""
    script = (
        "import os, resource as r, sys; os.setgroups([]); os.setgid(64999);"
        " os.setuid(64999); n = int(sys.argv[1]);"
        " r.setrlimit(r.RLIMIT_NPROC, (n, n));"
        " os.execvp(sys.argv[2], sys.argv[2:])"
    )
    uilog = shutil.which("uilog", path=home.env["PATH"])
    assert uilog is not None
    # What belongs to the test is closed to others.
    with tempfile.TemporaryDirectory() as state:
        os.chown(state, 64999, 64999)

        def as_another(
            limit: int, *args: str
        ) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", script, str(limit), uilog, *args],
                env={**home.env, "XDG_STATE_HOME": state},
                cwd="/",
                capture_output=True,
                text=True,
                timeout=processes.DEADLINE,
            )

        command = ("/bin/sh", "-c", "echo here; exit 3")
        done = as_another(1, "run", "--", *command)
        # Without a process to append to it the journal is somewhere else.
        journal = as_another(1000, "journal").stdout
        as_another(1000, "journal", "forget")
    assert (done.returncode, done.stdout, done.stderr) == (3, "here\n", "")
    assert "cannot start a process" in journal


## What hangs


def failures(home: Home) -> list[dict[str, Any]]:
    """What the journal says."""
    journal = home.path / ".local/state/uilog/failures.jsonl"
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text().splitlines()]


def logger_of(wrapper: int, command: int) -> int:
    """The process that logs a command that runs."""

    def others() -> list[int]:
        children = processes.children(wrapper)
        return [it.pid for it in children if it.pid != command]

    until("the logger", others)
    logger = others()[0]
    # It has given back what it has inherited.
    until("the logger to be set up", lambda: os.readlink(out(logger)) == "/")
    return logger


def out(pid: int) -> str:
    return f"/proc/{pid}/fd/1"


@contextlib.contextmanager
def stopped_logger(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A `uilog run` whose command ends when its input does; the logger does
    nothing any more, as if a file system did not answer."""
    process = subprocess.Popen(
        ["uilog", "run", "--", "sh", "-c", "echo $$; read end; exit 3"],
        env=home.env,
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    logger = 0
    try:
        logger = logger_of(process.pid, int(line_of(process)))
        os.kill(logger, signal.SIGSTOP)
        in_state(logger, "T")
        yield process
    finally:
        if logger:
            os.kill(logger, signal.SIGCONT)
        process.kill()
        process.communicate()


def test_a_logger_that_hangs_holds_nobody_up(home: Home) -> None:
    home.configure("[logtoprocess]\ncommandfinish = touch $OUT/late\n")
    with stopped_logger(home) as process:
        # Whoever reads what the command writes waits for nobody else.
        said, _ = process.communicate("", timeout=processes.DEADLINE)
        assert (process.returncode, said) == (3, "")
        until("the journal", lambda: failures(home))
        (failure,) = failures(home)
        assert failure["kind"] == "lost"
        assert 1 <= failure["lost"] <= 2
        assert "after the command's end" in failure["detail"]
    # What has been counted as lost does not turn up later.
    assert processes.wait_until_gone(str(home.path)) == []
    assert not (home.out / "late").exists()


def test_a_signal_ends_the_wait_for_a_logger(home: Home) -> None:
    home.configure("[logtoprocess]\ncommandfinish = true\n")
    with stopped_logger(home) as process:
        process.terminate()
        # The command has got it, and nobody waits for the logger after that.
        until("the end of the command", lambda: has_ended(process.pid))
        process.terminate()
        assert process.wait(timeout=processes.DEADLINE) == -signal.SIGTERM
        until("the journal", lambda: failures(home))


def has_ended(wrapper: int) -> bool:
    """Whether a `uilog run` has no child but its logger."""
    return len(processes.children(wrapper)) <= 1


def test_a_killed_wrapper_is_counted(home: Home) -> None:
    home.configure("[logtoprocess]\ncommandfinish = true\n")
    with listener(home) as process:
        pid = int(line_of(process).split()[1])
        process.kill()
        gone(pid)
    until("the journal", lambda: failures(home))
    (failure,) = failures(home)
    assert (failure["kind"], failure["lost"]) == ("lost", 1)
    assert "uilog run was killed" in failure["detail"]


HOSTILE_FILES = (
    *("requires", "sharedpath", "hgrc", "hgrc-not-shared", "dirstate"),
    "store/requires",
)


def put(kind: str, path: Path) -> None:
    """Puts something there that must not be read to its end."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "directory":
        path.mkdir()
    elif kind == "sparse":
        with path.open("wb") as fp:
            fp.truncate(1 << 40)
    else:
        path.symlink_to(kind)


@pytest.mark.parametrize(
    "kind", ["fifo", "/dev/zero", "socket", "directory", "sparse"]
)
def test_no_file_of_a_repository_holds_us_up(home: Home, kind: str) -> None:
    home.configure("[extensions]\nblackbox =\n")
    for name in HOSTILE_FILES:
        repository = home.path / f"of-{name.replace('/', '-')}"
        hg_dir = repository / ".hg"
        (hg_dir / "store").mkdir(parents=True)
        if name != "requires":
            (hg_dir / "requires").write_text("share-safe\nshared\n")
        if name not in ("requires", "sharedpath"):
            (hg_dir / "sharedpath").write_text(str(hg_dir))
        put(kind, hg_dir / name)
        for arguments, statuses in (
            (["run", "--", "sh", "-c", "exit 3"], [3]),
            (["emit", "note", "x"], [0, 1, 255]),
            (["config", "ui.username"], [0, 1, 255]),
            (["spool"], [0, 1, 255]),
            (["check"], [0, 1, 255]),
        ):
            if kind != "fifo" and arguments[0] not in ("run", "emit"):
                continue
            done = subprocess.run(
                ["uilog", *arguments],
                env=home.env,
                cwd=repository,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=processes.DEADLINE,
                preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_AS, (1 << 30, 1 << 30)
                ),
            )
            assert done.returncode in statuses, (name, arguments, done)
            assert b"memory" not in done.stderr


def test_no_process_is_left(home: Home) -> None:
    home.run("uilog", "run", "--", "true")
    needle = f"HOME={home.path}".encode()
    # Of a process between two programs it is not known whose it is.
    left = [
        process
        for process in processes.of_home(str(home.path))
        if process.environ or processes.serves(process.pid, needle)
    ]
    assert left == []
