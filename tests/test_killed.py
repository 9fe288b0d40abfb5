"""hg and its dispatcher are killed together: unfinished events are counted."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import SOAK, Home, kill, until

# A pid namespace of its own, in which hg is the first process: it ends with hg,
# as a container does.
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

# What a killed dispatcher had in hand may have been run or delivered: so much
# of a loss, by the line that tells of it.
UNCERTAIN = re.compile(
    r"(\d+) (?:started, and perhaps completed|perhaps not delivered)"
)

# Logs without end, and says after each event that it was logged.
BURST = """\
import os
import time

from mercurial import registrar

cmdtable = {}
command = registrar.command(cmdtable)


@command(b'burst', [], norepo=True)
def burst(ui, name):
    session = ui.getlogger(b'uilog').status()['session']
    logged = os.path.join(os.environ['OUT'], 'logged-' + name.decode())
    with open(logged, 'w', buffering=1) as fp:
        fp.write(session + '\\n')
        for number in range(100000):
            ui.log(b'foo', b'%s-%d\\n', name, number)
            fp.write('%d\\n' % number)
            time.sleep(0.002)
"""


def namespace() -> tuple[str, ...]:
    """What begins a pid namespace here; skips the test if nothing does."""
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    command = (NAMESPACE[0], *user, *NAMESPACE[1:])
    if shutil.which("unshare") is None:
        pytest.skip("no unshare: no pid namespace to be killed")
    tried = subprocess.run((*command, "true"), capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no pid namespace can be made: {tried.stderr.strip()}")
    return command


def losses(home: Home) -> list[dict[str, Any]]:
    """The losses that `uilog status` shows; its status is 1 if there are."""
    done = subprocess.run(
        ("uilog", "status", "-T", "json"),
        env=home.env,
        capture_output=True,
        check=False,
    )
    failures = json.loads(done.stdout)["journal"]["failures"]
    return [it for it in failures if it["lost"] > 0]


def uncertain_of(told: list[dict[str, Any]]) -> int:
    """Of these losses, how many may be none."""
    details = (it["detail"] for it in told)
    found = (count for it in details for count in UNCERTAIN.findall(it))
    return sum(map(int, found))


def pages(home: Home) -> list[Path]:
    return list((home.path / "run" / "uilog").glob("page-*"))


def has_logged(path: Path) -> bool:
    return path.exists() and "\n0" in path.read_text()


def messages(home: Home) -> set[str]:
    """Of the records that have arrived; whoever writes one may be killed."""
    found = set()
    for line in home.read("records").splitlines():
        try:
            found.add(json.loads(line)["message"].strip())
        except ValueError:
            continue
    return found


def test_a_script_of_a_container_that_ends_is_run_or_counted(
    home: Home,
) -> None:
    command = namespace()
    script = "sleep 0.2; echo ran >> $OUT/ran"
    home.configure(f"[logtoprocess]\ncommandfinish = {script}\n")
    for number in range(1, 11):
        home.run(*command, "hg", "version", "-q")
        ran = len(home.read("ran").splitlines())
        told = losses(home)
        lost = sum(it["lost"] for it in told)
        # Some may have run to the end before anybody could say so.
        assert number <= ran + lost <= number + uncertain_of(told), told
    before = losses(home)
    # A command that nobody kills moves them to the journal.
    home.hg("version", "-q")
    assert not processes.wait_until_gone(str(home.path))
    assert pages(home) == []
    assert sum(it["lost"] for it in losses(home)) == lost
    sessions = {it["session"] for it in before}
    assert {it["session"] for it in losses(home)} == sessions


# What hides all places where a page may be kept; or has one of them full.
NO_PLACE = """
for place in /run /dev/shm /tmp/uilog-0; do
    mkdir -p $place
    mount -t tmpfs -o ro,mode=700 none $place || exit 77
done
"""
FULL = """
mount -t tmpfs -o nr_inodes=2,mode=700 none $XDG_RUNTIME_DIR || exit 77
"""


def test_a_page_is_kept_elsewhere_or_the_journal_says_that_none_is(
    home: Home,
) -> None:
    home.configure("[logtoprocess]\ncommandfinish = echo ran >> $OUT/ran\n")
    # Where the runtime directory is hidden, none of this user's is elsewhere.
    (home.path / "none").mkdir(mode=0o700)
    home.env["XDG_RUNTIME_DIR"] = str(home.path / "none")
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    for number, hidden in enumerate((FULL, NO_PLACE), 1):
        done = subprocess.run(
            (*namespace, hidden + "exec hg version -q"),
            env=home.env,
            capture_output=True,
            text=True,
        )
        if done.returncode in (1, 77) and "ercurial" not in done.stdout:
            pytest.skip(f"nothing can be mounted: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        until("its script", functools.partial(has_run, home, number))
        # For the second command this one is no place to look into.
        home.env["XDG_RUNTIME_DIR"] = "/nowhere"
    assert not processes.wait_until_gone(str(home.path))
    journal = home.path / ".local" / "state" / "uilog" / "failures.jsonl"
    told = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [it["lost"] for it in told] == [0], told
    assert "no counter page can be created" in told[0]["detail"]


def has_run(home: Home, count: int) -> bool:
    return len(home.read("ran").splitlines()) == count


@pytest.mark.parametrize("moments", [30, pytest.param(1000, marks=SOAK)])
def test_killed_at_any_moment_every_event_is_accounted_for(
    home: Home, moments: int
) -> None:
    command = namespace()
    home.extension("burst", BURST)
    home.configure(
        "[logtoprocess]\nfoo = echo $MSG1 >> $OUT/ran\n"
        "[uilog]\nagent = no\n"
        f"sink.records = file:{home.out}/records\n"
        "sink.records:track = foo\n"
    )
    chance = random.Random(moments)
    for moment in range(moments):
        # A container, or a control group whose processes are killed in some
        # order.
        prefix = command if moment % 2 else ()
        hg = subprocess.Popen(
            (*prefix, "hg", "burst", str(moment)), env=home.env
        )
        logged = home.out / f"logged-{moment}"
        until("an event", functools.partial(has_logged, logged))
        time.sleep(chance.random() * 0.06)
        if prefix:
            hg.kill()
        else:
            found = processes.surely_of_home(str(home.path))
            chance.shuffle(found)
            for process in found:
                kill(process.pid)
        hg.wait()
    left = processes.wait_until_gone(str(home.path))
    assert left == []

    ran = home.read("ran").split()
    assert len(ran) == len(set(ran)), "nothing runs twice"
    delivered = messages(home)
    told = losses(home)
    for moment in range(moments):
        session, *numbers = (home.out / f"logged-{moment}").read_text().split()
        whose = f"{moment}-"
        arrived = sum(it.startswith(whose) for it in ran)
        arrived += sum(it.startswith(whose) for it in delivered)
        mine = [it for it in told if it["session"] == session]
        lost = sum(it["lost"] for it in mine)
        uncertain = uncertain_of(mine)
        # A script and a record for each; the last event may have been logged
        # without a word.
        events = 2 * len(numbers)
        account = (moment, arrived, lost, uncertain, mine)
        assert arrived + lost >= events, account
        assert arrived + lost - uncertain <= events + 2, account
