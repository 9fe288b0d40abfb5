"""hg where it forks, runs threads, serves, or has lost its terminal."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess

import processes
from conftest import Home, until

# Commands that log in ways that plain hg does not.
LOGGING = """\
import os
import resource
import tempfile
import threading
import time

from mercurial import registrar

cmdtable = {}
command = registrar.command(cmdtable)


def status(ui):
    return ui.getlogger(b'uilog').status()


@command(b'forks', [], norepo=True)
def forks(ui):
    ui.log(b'who', b'parent\\n')
    ui.status(b'%s\\n' % status(ui)['session'].encode())
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            ui.log(b'who', b'child\\n')
            ui.log(b'who', b'child again\\n')
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    ui.log(b'who', b'parent again\\n')
    assert status(ui)['dispatcher']['starts'] == 1
    assert status(ui)['counters']['lost'] == 0


@command(b'lingering', [], norepo=True)
def lingering(ui):
    ui.log(b'who', b'parent\\n')
    pid = os.fork()
    if pid == 0:
        # Whoever reads our output waits for its end.
        null = os.open('/dev/null', os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        while not os.path.exists(os.path.join(os.environ['OUT'], 'go')):
            time.sleep(0.01)
        os._exit(0)
    ui.status(b'%d\\n' % status(ui)['dispatcher']['pid'])


@command(b'threads', [], norepo=True)
def threads(ui):
    def run(number):
        mine = ui.copy()
        for event in range(50):
            mine.log(b'who', b'%d-%d\\n', number, event)
    running = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert status(ui)['counters']['delivered'] == 400


@command(b'named', [], norepo=True)
def named(ui):
    ui.log(b'who', b'named\\n', ui=1, orig=2, name=3, func=4, native=5)
    assert not any(
        count
        for name, count in status(ui)['counters'].items()
        if name.startswith('fault')
    )


@command(b'closes', [], norepo=True)
def closes(ui):
    def identities():
        stats = [os.fstat(fd) for fd in range(3, 20)]
        return [(stat.st_dev, stat.st_ino) for stat in stats]

    ui.log(b'who', b'parent\\n')
    first = status(ui)['dispatcher']['pid']
    # All that it finds, and then it has files of its own there.
    os.closerange(3, 100)
    files = [tempfile.TemporaryFile() for number in range(17)]
    assert [file.fileno() for file in files] == list(range(3, 20))
    before = identities()
    pid = os.fork()
    if pid == 0:
        same = identities() == before
        ui.log(b'who', b'child\\n')
        same = same and identities() == before
        os._exit(not same)
    assert os.waitpid(pid, 0)[1] == 0
    assert identities() == before
    # It gets another dispatcher, and nothing of ours is in those files.
    ui.log(b'who', b'parent again\\n')
    assert status(ui)['dispatcher']['pid'] != first
    assert identities() == before
    assert all(os.fstat(file.fileno()).st_size == 0 for file in files)


@command(b'limited', [], norepo=True)
def limited(ui):
    # Python ignores SIGXFSZ; the queue is a file, too.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 1024,) * 2)
    for number in range(50):
        ui.log(b'who', b'%d %s\\n', number, b'x' * 10000)
    counters = status(ui)['counters']
    assert counters['lost'] <= 10, counters
    assert status(ui)['dispatcher']['starts'] > 3
    ui.status(b'%d\\n' % counters['delivered'])


@command(b'paged', [], norepo=True)
def paged(ui):
    ui.log(b'who', b'before\\n')
    pid = status(ui)['dispatcher']['pid']
    ui.pager(b'paged')
    # One that is killed while it starts a script is not repeated.
    while not status(ui)['dispatcher']['started']:
        pass
    os.kill(pid, 9)
    while os.path.exists('/proc/%d' % pid):
        pass
    ui.log(b'who', b'after\\n')
    ui.write(b'survived\\n')
"""

WHO = """\
[logtoprocess]
who = echo "$UILOG_SESSION $HGPID $MSG1" | head -n 1 >> $OUT/who
"""


def lines(home: Home, name: str = "who") -> list[list[str]]:
    return [line.split(" ", 2) for line in home.read(name).splitlines()]


def test_what_others_have_opened_is_left_alone(home: Home) -> None:
    home.configure(WHO)
    home.extension("logging", LOGGING)
    home.hg("closes")
    until("all of it", lambda: len(lines(home)) == 3)
    said = sorted(line[2] for line in lines(home))
    assert said == ["child", "parent", "parent again"]


def test_forked_children_have_a_dispatcher_of_their_own(home: Home) -> None:
    home.extension("logging", LOGGING)
    home.configure(WHO)
    session = home.hg("forks").strip()
    until("every script", lambda: len(lines(home)) == 8)
    sessions = {s for s, _, text in lines(home) if text.startswith("parent")}
    assert sessions == {session}
    of_children = [
        (s, pid) for s, pid, text in lines(home) if text.startswith("child")
    ]
    assert len(set(of_children)) == 3
    assert session not in {s for s, _ in of_children}


def test_a_child_that_lives_on_does_not_keep_the_dispatcher(
    home: Home,
) -> None:
    home.extension("logging", LOGGING)
    home.configure(WHO)
    pid = int(home.hg("lingering"))
    until("the dispatcher to end", lambda: processes.look(pid) is None)
    (home.out / "go").touch()


def test_threads_log_at_the_same_time(home: Home) -> None:
    home.extension("logging", LOGGING)
    home.configure(WHO)
    home.hg("threads")
    expected = {f"{n}-{event}" for n in range(8) for event in range(50)}
    until("every script", lambda: len(lines(home)) == 400)
    assert {text for _, _, text in lines(home)} == expected


def test_options_may_have_the_names_of_our_own_parameters(
    home: Home,
) -> None:
    wrapper = (
        "from mercurial import extensions, ui as uimod\n"
        "def uisetup(ui):\n"
        "    extensions.wrapfunction(uimod.ui, 'log', log)\n"
        "def log(inner, /, *args, **opts):\n"
        "    return inner(*args, **opts)\n"
    )
    home.extension("logging", LOGGING)
    home.configure(
        "[logtoprocess]\nwho = echo $OPT_UI $OPT_ORIG $OPT_NAME $OPT_FUNC"
        " $OPT_NATIVE >> $OUT/who\n"
    )
    home.hg("named")
    until("the script", lambda: home.read("who") == "1 2 3 4 5\n")
    # The same where another extension has wrapped ui.log before uilog.
    path = home.path / "wrapper.py"
    path.write_text(wrapper)
    text = home.hgrc.read_text()
    before = f"[extensions]\nwrapper = {path}\n"
    home.hgrc.write_text(text.replace("[extensions]\n", before, 1))
    home.hg("named")
    until("the script", lambda: home.read("who") == "1 2 3 4 5\n" * 2)


def test_a_limit_on_file_sizes_costs_an_event_for_each_queue(
    home: Home,
) -> None:
    home.extension("logging", LOGGING)
    # The limit holds for scripts, too.
    home.configure("[logtoprocess]\nwho = echo ran >> $OUT/who\n")
    delivered = int(home.hg("limited"))
    until("every script", lambda: len(lines(home)) == delivered)


def test_hg_survives_its_dispatcher_while_a_pager_runs(home: Home) -> None:
    # hg has SIGPIPE at its default then.
    home.extension("logging", LOGGING)
    home.configure(WHO + "[ui]\npaginate = always\n[pager]\npager = cat\n")
    assert "survived" in home.hg("paged", "--pager=always")
    until("both scripts", lambda: len(lines(home)) == 2)


def test_real_workers_log_too(home: Home) -> None:
    repository = home.repository()
    home.configure(WHO)
    home.work(repository, "repo.ui.log(b'who', b'worker\\n')")
    until("a script for each", lambda: len(lines(home)) == 4)
    assert len({pid for _, pid, _ in lines(home)}) == 4


def test_hgweb_logs_each_request(home: Home) -> None:
    repository = home.repository()
    home.extension(
        "web",
        "from mercurial import extensions\n"
        "from mercurial.hgweb import hgweb_mod\n"
        "def extsetup(ui):\n"
        "    extensions.wrapfunction(hgweb_mod.hgweb, '_runwsgi', run)\n"
        "def run(orig, self, req, res, repo):\n"
        "    repo.ui.log(b'who', b'request\\n')\n"
        "    return orig(self, req, res, repo)\n",
    )
    home.configure(WHO)
    server = subprocess.Popen(
        ["hg", "serve", "-a", "127.0.0.1", "-p", "0"],
        env=home.env,
        cwd=repository,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        # It says where it listens.
        assert server.stdout is not None
        found = re.search(r":(\d+)", server.stdout.readline())
        assert found is not None, "hg serve has ended"
        port = int(found[1])
        for _ in range(10):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/?style=raw")
            assert connection.getresponse().status == 200
            connection.close()
        until("every script", lambda: len(lines(home)) == 10)
        zombies = [p for p in processes.everyone() if p.parent == server.pid]
        assert zombies == []
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate()


def test_no_child_is_left_to_a_shell(home: Home) -> None:
    # A shell that waits for all its children must not wait for a script.
    repository = home.repository()
    home.configure(
        "[logtoprocess]\ncommandfinish =\n"
        " echo $$ > $OUT/pid.new; mv $OUT/pid.new $OUT/pid; exec sleep 1000\n"
    )
    done = subprocess.run(
        ["sh", "-c", "hg id & wait; echo waited"],
        env=home.env,
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
    )
    assert done.stdout.endswith("waited\n")
    until("the script", lambda: home.read("pid"))
    os.kill(int(home.read("pid")), signal.SIGKILL)


def test_the_end_of_a_command_knows_its_repository(home: Home) -> None:
    # It is logged through a ui that belongs to none.
    repository = home.repository()
    home.configure(
        "[logtoprocess]\ncommandfinish = cat >> $OUT/json\n"
        "commandfinish:stdin = json\n"
    )
    home.hg("id", cwd=repository)
    home.hg("version")
    until("both", lambda: len(home.read("json").splitlines()) == 2)
    records = [json.loads(line) for line in home.read("json").splitlines()]
    roots = {r["options"]["canonical_command"]: r["root"] for r in records}
    assert roots == {"identify": str(repository), "version": None}


def test_output_is_the_same_with_and_without(home: Home) -> None:
    repository = home.repository()

    def output(*options: str) -> str:
        return home.hg("log", "-p", "--debug", *options, cwd=repository)

    plain = output("--config", "extensions.uilog=!")
    home.configure("[logtoprocess]\ncommandfinish = true\ncommand = true\n")
    assert output() == plain
