"""What a fleet gets from one line of hgrc: a hundred real commands, a real
collector that is stopped half-way, a container that is killed, and each command
as one span in the end.

Starts the collector and a receiver behind it on the loopback, in a temporary
directory, and leaves nothing behind. The exit status says whether each command
has arrived exactly once.

usage: demo_fleet.py  (`make demo-fleet` has what it needs on the PATH)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

import processes
from collector import Rotel, why_not
from otlp_receiver import Receiver

COMMANDS = 100
# Those before the collector is stopped.
HALF = COMMANDS // 2
# Seconds until what is left must have arrived.
DEADLINE = 60

# The first process of a container, with which all others end.
CONTAINER = ("unshare", "-pf", "--mount-proc", "--kill-child")

KEPT = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")


def say(text: str) -> None:
    bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold[0]}{text}{bold[1]}", flush=True)


class Work:
    """A user with a repository, who runs one command after the other."""

    def __init__(self, home: Path, collector: str) -> None:
        self.home = home
        self.repository = home / "repository"
        hgrc = home / "hgrc"
        hgrc.write_text(
            "[extensions]\nuilog =\n\n"
            f"[uilog]\nsink.fleet = otlp:{collector}\n"
            "sink.fleet:track = commandfinish\n"
        )
        say("The whole configuration:")
        print(hgrc.read_text(), end="")
        self.env = {k: v for k, v in os.environ.items() if k in KEPT}
        self.env.update(HOME=str(home), HGRCPATH=str(hgrc), HGUSER="demo")
        self.hgrc = hgrc
        run = home / "run"
        run.mkdir(mode=0o700)
        self.env["XDG_RUNTIME_DIR"] = str(run)
        self.run = 0
        self.slowest = 0.0

    def hg(self, *args: str) -> None:
        at = self.repository if self.repository.exists() else self.home
        begin = time.perf_counter()
        subprocess.run(
            ["hg", *args],
            cwd=at,
            env=self.env,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        self.slowest = max(self.slowest, time.perf_counter() - begin)
        self.run += 1

    def killed_container(self) -> None:
        """A command in a container, all of which is killed when the command
        has just ended."""
        ready = self.home / "ready"
        script = f"hg id && touch {ready} && exec sleep 600"
        container = subprocess.Popen(
            [*CONTAINER, "sh", "-c", script],
            cwd=self.repository,
            env=self.env,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + DEADLINE
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        (first,) = processes.children(container.pid)
        namespace = os.readlink(f"/proc/{first.pid}/ns/pid")
        inside = [it for it in processes.everyone() if is_in(it.pid, namespace)]
        container.kill()
        container.wait()
        # The kernel kills them one after the other.
        while any(is_there(it.pid) for it in inside):
            time.sleep(0.001)
        self.run += 1

    def uilog(self, *args: str) -> int:
        """Runs uilog, whose output is shown; its status."""
        done = subprocess.run(
            ["uilog", *args], cwd=self.home, env=self.env, check=False
        )
        return done.returncode

    def work(self, until: int) -> None:
        """What people do, until so many commands have run."""
        self.slowest = 0.0
        while self.run < until:
            if not self.repository.exists():
                self.hg("init", str(self.repository))
                continue
            turn = self.run % 5
            if turn == 0:
                (self.repository / "file").write_text(f"{self.run}\n")
                self.hg("commit", "-Am", f"number {self.run}")
            else:
                self.hg(("status", "log", "id", "branches")[turn - 1])


def is_in(pid: int, namespace: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == namespace
    except OSError:
        return False


def is_there(pid: int) -> bool:
    found = processes.look(pid)
    return found is not None and found.state != "Z"


def wait_for(count: int, receiver: Receiver) -> None:
    """Until so many have come; the end of the demonstration tells if not."""
    deadline = time.monotonic() + DEADLINE
    while receiver.store.count() < count and time.monotonic() < deadline:
        time.sleep(0.02)


def can_make_containers() -> bool:
    if shutil.which(CONTAINER[0]) is None:
        return False
    done = subprocess.run([*CONTAINER, "true"], capture_output=True)
    return done.returncode == 0


def show_killed_container(work: Work, receiver: Receiver) -> None:
    store = receiver.store
    before = store.count()
    # What the second one says is for this demonstration alone: by itself hg
    # waits for the collector where a container ends with it.
    lines = "[uilog]\ndeliver-before-exit = no\n"
    with work.hgrc.open("a") as hgrc:
        hgrc.write(lines)
    say("A container is killed just after a command, with all its processes")
    print(lines, end="")
    work.killed_container()
    print(f"  {store.count() - before} spans have come")
    print("$ uilog agent status")
    work.uilog("agent", "status")
    say("One more command, outside of it")
    work.hg("id")
    wait_for(before + 2, receiver)
    print(f"  {store.count() - before} spans have come")


def demo(directory: Path) -> int:
    home = directory / "home"
    home.mkdir()
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        rotel = stack.enter_context(Rotel(directory / "rotel", receiver.url))
        store = receiver.store
        work = Work(home, rotel.url)
        say(f"{HALF} commands, with a collector (rotel) at {rotel.url}")
        work.work(HALF)
        wait_for(HALF, receiver)
        print(f"  {store.count()} spans have come")

        say(f"The collector is stopped, and {COMMANDS - HALF} more are run")
        rotel.stop()
        before = work.slowest
        work.work(COMMANDS)
        left = processes.wait_until_gone(str(home))
        print(f"  {store.count()} spans have come")
        print(f"  processes that wait for the collector: {len(left)}")
        print(
            f"  the slowest command took {work.slowest:.2f} s "
            f"(before that {before:.2f} s)"
        )
        print("$ uilog spool")
        work.uilog("spool")

        say("The collector is started again")
        rotel.start()
        print("$ uilog spool flush")
        flushed = work.uilog("spool", "flush")
        wait_for(COMMANDS, receiver)
        print(f"  {store.count()} spans have come")

        if can_make_containers():
            show_killed_container(work, receiver)
        else:
            say("LEFT OUT: the container because `unshare -pf` does not work")

        say("Each command, as a span:")
        kinds: dict[str, int] = {}
        for span in store.spans():
            kinds[span.name] = kinds.get(span.name, 0) + 1
        for name, count in sorted(kinds.items(), key=lambda it: -it[1]):
            print(f"  {name:20}{count:5}")
        lost = work.run - store.count()
        rows = {
            "commands run": work.run,
            "spans": store.count(),
            "duplicates": store.repeated(),
            "lost": lost,
            "complaints of the receiver": len(store.complaints),
        }
        print()
        for what, number in rows.items():
            print(f"  {what:30}{number:5}")
        for complaint in store.complaints[:5]:
            print(f"  {complaint}")
        work.uilog("agent", "stop")
        failed = (lost, left, flushed, store.repeated(), store.complaints)
        fine = not any(failed)
        say(
            "Every command has arrived once."
            if fine
            else "FAILED: not every command has arrived once."
        )
        return 0 if fine else 1


def main() -> int:
    reason = why_not()
    if reason is not None:
        print(f"LEFT OUT: the demonstration because {reason}")
        return 1
    with tempfile.TemporaryDirectory(prefix="uilog-demo.") as directory:
        return demo(Path(directory).resolve())


if __name__ == "__main__":
    sys.exit(main())
