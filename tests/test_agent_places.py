"""The agent of a user outside of a login session: cron, su,
sudo, containers, a logout, a full or limited system."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import processes
import pytest
from conftest import Agents, Chg, Home, until

# A user whom nothing belongs to.
OTHER = 4711

# What all processes of a user find is this test's own, so that neither agents
# nor queues are those of other tests.
PRELUDE = """
mount -t tmpfs -o mode=755,size=$SIZE t /run
mount -t tmpfs -o mode=1777,size=$SIZE t /dev/shm
for uid in 0 $OTHER; do
    test -d /tmp/uilog-$uid || mkdir -m 700 /tmp/uilog-$uid
    mount -t tmpfs -o mode=700,uid=$uid,size=$SIZE t /tmp/uilog-$uid
done
"""

# Real user another one, effective user root, as of a program that is set-uid.
AS_ROOT_FOR_OTHER = f"""
import os, sys
os.setresuid({OTHER}, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def unshared(*args: str) -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("no namespace can be made here (unshare, as root)")
    return [unshare, *args]


class Machine:
    """Homes of several users on a machine of their own."""

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        self.path = path
        self._env = {"PATH": env["PATH"], "OTHER": str(OTHER), "SIZE": "16m"}

    def home(self, name: str, uid: int = 0) -> Path:
        """A home with a sink that is a file in it."""
        home = self.path / name
        home.mkdir()
        (home / ".hgrc").write_text(
            "[extensions]\nuilog =\n[uilog]\nagent-idle = 60\n"
            f"sink.audit = file:{home}/audit\n"
            "sink.audit:track = commandfinish, ping\n"
        )
        for path in (home, home / ".hgrc"):
            os.chown(path, uid, uid)
        return home

    def run(self, script: str, **env: str) -> str:
        done = subprocess.run(
            [*unshared("-m", "sh", "-ec"), PRELUDE + script],
            env={**self._env, **env},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=processes.DEADLINE,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    @staticmethod
    def records(home: Path) -> int:
        audit = home / "audit"
        return len(audit.read_text().splitlines()) if audit.exists() else 0

    @staticmethod
    def lost(home: Path) -> int:
        journal = home / ".local" / "state" / "uilog" / "failures.jsonl"
        if not journal.exists():
            return 0
        lines = journal.read_text().splitlines()
        return sum(json.loads(line)["lost"] for line in lines)


@pytest.fixture
def machine(home: Home) -> Iterator[Machine]:
    # Other users can go there.
    with tempfile.TemporaryDirectory(prefix="uilog.", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Machine(Path(path), home.env)


def test_homes_of_one_user_share_an_agent_and_no_sink(machine: Machine) -> None:
    one, two = machine.home("one"), machine.home("two")
    # As cron and su do it: a home, and no variable besides.
    out = machine.run(
        f"""
        for home in {one} {two} {one}; do
            env -i PATH=$PATH HOME=$home hg version -q >/dev/null
        done
        export HOME={two}
        uilog flush --wait 60 >&2
        uilog agent status -T json
        uilog agent stop
        """
    )
    (agent,) = json.loads(out)["agents"]
    assert agent["path"].startswith("/tmp/uilog-0/")
    assert machine.records(one) == 2
    assert machine.records(two) == 1
    assert machine.lost(one) + machine.lost(two) == 0


def test_two_users_have_two_agents(machine: Machine) -> None:
    root, other = machine.home("root"), machine.home("other", OTHER)
    shared = machine.path / "run"
    shared.mkdir(mode=0o700)
    # Not hg: others may not be able to read what it needs of this machine.
    # sudo keeps XDG_RUNTIME_DIR, whoever that belongs to.
    out = machine.run(
        f"""
        su="setpriv --reuid $OTHER --regid $OTHER --clear-groups env"
        export XDG_RUNTIME_DIR={shared}
        HOME={root} uilog emit ping pong
        $su HOME={other} uilog emit ping pong
        HOME={root} uilog flush --wait 60 >&2
        $su HOME={other} uilog flush --wait 60 >&2
        HOME={root} uilog agent status -T json
        $su HOME={other} uilog agent status -T json
        HOME={root} uilog agent stop
        $su HOME={other} uilog agent stop
        """
    )
    told = json.JSONDecoder()
    first, end = told.raw_decode(out)
    second, _ = told.raw_decode(out[end:].lstrip())
    places = [
        [Path(it["path"]).parent for it in status["agents"]]
        for status in (first, second)
    ]
    assert places == [[shared / "uilog"], [Path(f"/tmp/uilog-{OTHER}")]]
    for home, uid in ((root, 0), (other, OTHER)):
        assert machine.records(home) == 1
        assert (home / "audit").stat().st_uid == uid
        assert machine.lost(home) == 0


def test_whom_a_program_acts_for_is_heard(machine: Machine) -> None:
    root = machine.home("root")
    machine.run(
        """
        for round in 1 2 3; do
            python3 -c "$AS" hg version -q >/dev/null
        done
        uilog flush --wait 60 >&2
        uilog agent stop
        """,
        HOME=str(root),
        AS=AS_ROOT_FOR_OTHER,
    )
    assert machine.records(root) == 3
    assert machine.lost(root) == 0


def test_where_no_queue_has_room_records_take_another_way(
    machine: Machine,
) -> None:
    root = machine.home("root")
    machine.run(
        """
        for path in /run /dev/shm /tmp/uilog-0; do
            dd if=/dev/zero of=$path/filler bs=4096 2>/dev/null || true
        done
        hg version -q >/dev/null
        uilog flush --wait 60 >&2
        rm /tmp/uilog-0/filler
        hg version -q >/dev/null
        uilog flush --wait 60 >&2
        uilog agent stop
        """,
        HOME=str(root),
        SIZE="1m",
    )
    until("the records", lambda: machine.records(root) == 2)
    assert machine.lost(root) == 0


def test_containers_that_share_a_directory_have_an_agent_each(
    agents: Agents,
) -> None:
    home = agents.home
    repository = home.unseen_repository()
    script = (
        "hg root && uilog flush --wait 60 && touch $OUT/ready && "
        "while ! test -e $OUT/go; do sleep .05; done; "
        "hg id && uilog flush --wait 60 && "
        "uilog agent status -T json > $OUT/status"
    )
    inside = subprocess.Popen(
        unshared("-pf", "--mount-proc", "--kill-child", "sh", "-ec", script),
        env=home.env,
        cwd=repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        until("the container", (home.out / "ready").exists)
        home.hg("branch", cwd=repository)
        agents.flush()
        assert len(agents.running()) == 2
        # The other one is not ours to end.
        home.run("uilog", "agent", "stop")
        assert len(agents.running()) == 1
        (home.out / "go").touch()
        assert inside.wait(processes.DEADLINE) == 0
    finally:
        inside.kill()
        inside.wait()
    status = json.loads((home.out / "status").read_text())
    (near,) = (it for it in status["agents"] if it["is_near"])
    assert near["pid"] is not None
    assert Counter(agents.commands()) == Counter(["root", "branch", "identify"])


def test_a_server_goes_on_after_a_logout(agents: Agents) -> None:
    home = agents.home
    with home.serving(home.unseen_repository()) as client:
        client.rawcommand([b"root"])
        agents.flush()
        (agent,) = agents.running()
        os.kill(agent.pid, signal.SIGSTOP)
        client.rawcommand([b"id"])
        # What a logout does: it ends processes, and removes the directory.
        shutil.rmtree(agents.runtime / "uilog")
        os.kill(agent.pid, signal.SIGKILL)
        until("its end", lambda: not agents.running())
        client.rawcommand([b"branch"])
        agents.flush()
    agents.flush()
    told = Counter(agents.commands())
    assert told["root"] == told["identify"] == told["branch"] == 1


@contextlib.contextmanager
def cgroup() -> Iterator[Path]:
    """A control group, all processes of which can be killed at once."""
    roots = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    root = next((it for it in roots if (it / "cgroup.procs").exists()), None)
    if root is None or not os.access(root / "cgroup.procs", os.W_OK):
        pytest.skip("no control group can be made here")
    path = root / f"uilog-test-{os.getpid()}"
    path.mkdir()
    try:
        if not (path / "cgroup.kill").exists():
            pytest.skip("this kernel has no cgroup.kill")
        yield path
    finally:
        (path / "cgroup.kill").write_text("1")
        # A process that is ending is in the group, but not in its list.
        events = path / "cgroup.events"
        until("its end", lambda: "populated 0" in events.read_text())
        path.rmdir()


def test_a_job_takes_its_agent_along_and_loses_nothing(agents: Agents) -> None:
    home = agents.home
    repository = home.unseen_repository()
    with cgroup() as job:
        join = f"echo $$ > {job}/cgroup.procs && exec hg"
        home.run("sh", "-c", f"{join} root", cwd=repository)
        agents.flush()
        (agent,) = agents.running()
        assert str(agent.pid) in (job / "cgroup.procs").read_text().split()
        os.kill(agent.pid, signal.SIGSTOP)
        home.run("sh", "-c", f"{join} id", cwd=repository)
    assert not agents.running()
    home.hg("branch", cwd=repository)
    agents.flush()
    (agent,) = agents.running()
    assert Counter(agents.commands()) == Counter(["root", "identify", "branch"])


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


class Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class Program(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_ushort),
        ("filter", ctypes.POINTER(Instruction)),
    )


def filtered() -> None:
    """A filter of system calls that allows all of them."""
    pr_set_seccomp, seccomp_mode_filter, pr_set_no_new_privs = 22, 2, 38
    bpf_ret, allow = 0x06, 0x7FFF0000
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(1, (Instruction * 1)(Instruction(bpf_ret, 0, 0, allow)))
    assert libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0) == 0
    done = libc.prctl(
        pr_set_seccomp, seccomp_mode_filter, ctypes.byref(program)
    )
    assert done == 0, os.strerror(ctypes.get_errno())


@pytest.mark.parametrize("confine", [limited, filtered])
def test_whoever_is_confined_starts_no_agent(
    agents: Agents, confine: Callable[[], None]
) -> None:
    home = agents.home
    subprocess.run(
        ["hg", "root"],
        env=home.env,
        cwd=home.unseen_repository(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=confine,
        timeout=processes.DEADLINE,
        check=True,
    )
    assert not agents.running()
    assert not agents.queues()
    until("its record", lambda: agents.commands() == ["root"])


def test_forked_children_have_queues_of_their_own(agents: Agents) -> None:
    home = agents.home
    home.configure("sink.audit:track = commandfinish, worked\n")
    home.extension(
        "forks",
        "import os, signal\n"
        "from mercurial import registrar\n"
        "cmdtable = {}\n"
        "command = registrar.command(cmdtable)\n"
        "@command(b'forks', [], b'', norepo=True)\n"
        "def forks(ui):\n"
        "    ui.log(b'worked', b'parent\\n')\n"
        "    for number in range(4):\n"
        "        if os.fork() == 0:\n"
        "            ui.log(b'worked', b'child\\n')\n"
        "            if number < 3:\n"
        "                os._exit(0)\n"
        "            os.kill(os.getppid(), signal.SIGKILL)\n"
        "            signal.pause()\n"
        "    for number in range(4):\n"
        "        os.wait()\n",
    )
    done = subprocess.run(
        ["hg", "forks"],
        env=home.env,
        stdin=subprocess.DEVNULL,
        timeout=processes.DEADLINE,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    try:
        agents.flush()
        sessions = Counter(str(it["session"]) for it in agents.records())
        assert len(sessions) == 5
        assert set(sessions.values()) == {1}
        # The parent is known to be dead, though a child of it lives.
        until("its queue to go", lambda: len(agents.queues()) == 1)
    finally:
        for it in processes.of_home(str(home.path)):
            if it.argv[-1:] == ("forks",):
                os.kill(it.pid, signal.SIGKILL)


def test_commands_behind_chg_have_the_agent(agents: Agents, chg: Chg) -> None:
    repository = agents.home.unseen_repository()
    for _ in range(3):
        chg("root", cwd=repository)
    agents.flush()
    assert Counter(agents.commands())["root"] == 3
    assert len(agents.running()) == 1
