"""Connections to other repositories, through an ssh that follows a script.

uilog is compared with stock hg: where stock hg hangs, the test shows that.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal

import pytest
from conftest import until
from connections import (
    OPENING,
    STOCK,
    TIP,
    URL,
    Client,
    Finished,
    finish,
    lives,
    pipes,
)

# What is counted of a connection: test_events_wire.py compares the figures.
TRAFFIC = {
    "bytes_sent",
    "bytes_received",
    "roundtrips",
    "wire_time",
    "wire_commands",
    "connected",
}

# Far more than a test may take.
PATIENT = ("--config", "uilog.peer-timeout=600")
# Far more than it takes an ssh to end that is about to.
IMPATIENT = ("--config", "uilog.peer-timeout=3")

UNLIMITED = (
    *("--config", "uilog.peer-timeout=0"),
    *("--config", "uilog.peer-close-max=0"),
)
# Far less than a server goes on that never ends.
BRIEF = (*PATIENT, "--config", "uilog.peer-close-max=2")

# Speaks at every time, the last line having no end, and leaves a process
# behind.
HOLDING = """\
echo one >&2
hold
serve
echo two >&2
printf three >&2
mark ends
"""


def have_ended(client: Client, count: int) -> bool:
    """Whether so many have come to their end and are gone: what they leave
    behind is then no longer below hg."""
    ends = client.marks("ends")
    return len(ends) == count and not any(map(lives, ends))


# A command that leaves a peer to the garbage collector, which runs in a child
# that has been forked in the meantime: once as the command's end is logged,
# once in the middle of the command.
FORKS = """\
class Forker:
    def tracked(self, event):
        return event == b'commandfinish'

    def log(self, ui, event, msg, opts):
        os.waitpid(fork(), 0)


def uipopulate(ui):
    if ui.configbool(b'test', b'fork'):
        ui.setlogger(b'forker', Forker())


def fork(garbage=None):
    pid = os.fork()
    if pid == 0:
        detach()
        mark('collecting')
        if garbage is not None:
            garbage.clear()
        gc.collect()
        mark('collected')
        os._exit(0)
    return pid


pipes = []


def tangled(ui):
    # From here on nothing is collected by chance.
    gc.disable()
    peer = connect(ui)
    peer.itself = peer
    # Of the peer and its pipes, the collector finalizes first which it likes.
    pipes.append(peer._pipee)
    return peer


@command(b'fails', [], norepo=True)
def fails(ui):
    peer = tangled(ui)
    raise error.Abort(b'nobody closes it')


@command(b'goeson', [], norepo=True)
def goeson(ui):
    peers = [tangled(ui)]
    os.waitpid(fork(peers), 0)
    ui.write(peers[0].lookup(b'tip')[:6].hex().encode() + b'\\n')
    peers[0].close()
"""


def hangs_in_child(client: Client, *args: str) -> Finished:
    """Shows that stock hg waits for a child that waits for ssh, which waits
    for hg; then ends the child."""
    hg = client.start(*args, *STOCK)
    until("the child", lambda: client.marks("collecting"))
    (child,) = client.marks("collecting")
    (ssh,) = client.marks("starts")
    # It has closed its copies of ssh's standard input and output, and reads
    # standard error to its end, which the copies in its parent keep away.
    until(
        "the child to wait for standard error",
        lambda: len(pipes(child) & pipes(ssh)) == 1,
    )
    assert len(pipes(hg.pid) & pipes(ssh)) == 3
    assert not client.marks("collected")
    os.kill(child, signal.SIGKILL)
    done = finish(hg)
    for name in ("collecting", "starts"):
        (client.home.out / name).unlink()
    return done


@pytest.mark.contract
def test_a_leaked_peer_is_closed_before_the_end_is_logged(
    client: Client, every_hg: str
) -> None:
    client.ssh("serve\n")
    client.commands(FORKS)
    client.home.configure("[test]\nfork = yes\n")
    stock = hangs_in_child(client, "fails")
    ours = client.run("fails")
    assert ours == stock
    assert (ours.status, ours.err) == (255, b"abort: nobody closes it\n")
    assert client.marks("collected")
    # It has come before the end of the command.
    (closed,) = client.closed()
    assert (closed["outcome"], closed["leaked"]) == ("closed", True)


@pytest.mark.contract
def test_a_peer_that_is_garbage_in_a_child_is_none_of_the_childs(
    client: Client, every_hg: str
) -> None:
    client.ssh("serve\n")
    client.commands(FORKS)
    stock = hangs_in_child(client, "goeson")
    ours = client.run("goeson")
    assert ours == stock == Finished(0, f"{TIP}\n".encode(), b"")
    assert client.marks("collected")
    # The child has a dispatcher of its own, so there is no order.
    until("both, and the end", lambda: len(client.logged()) == 3)
    events = [e for e in client.logged() if e["event"] == "peerclose"]
    closed = {e["options"]["outcome"]: e for e in events}
    assert set(closed) == {"closed", "foreign-fork"}
    assert not any(event["options"]["leaked"] for event in events)
    assert closed["closed"]["options"]["exit_code"] == 0
    assert "exit_code" not in closed["foreign-fork"]["options"]
    (child,) = client.marks("collected")
    assert closed["foreign-fork"]["pid"] == child


@pytest.mark.contract
def test_who_holds_standard_error_is_not_waited_for(
    client: Client, every_hg: str
) -> None:
    client.ssh(HOLDING)
    stock = client.start("id", URL, *STOCK)
    until("its ssh to end", lambda: have_ended(client, 1))
    ours = client.run("id", URL, *IMPATIENT)
    assert ours.status == 0
    (closed,) = client.closed()
    assert (closed["outcome"], closed["leaked"]) == ("timeout", False)
    assert closed["exit_code"] == 0
    debug = client.run("id", URL, "--debug", *IMPATIENT)
    why = (
        f"uilog: {URL}: its standard error is still held open, 3 s after it"
        " was closed or after its last output: stopped waiting"
        " (uilog.peer-timeout)\n"
    )
    assert debug.out.endswith(b"remote: two\nremote: three")
    assert why.encode() in debug.err
    # These two have begun later.
    assert stock.poll() is None
    assert all(map(lives, client.marks("holders")))
    client.release()
    assert finish(stock) == ours
    said = f"{TIP}\nremote: two\nremote: three".encode()
    assert ours == Finished(0, said, b"remote: one\n")


def test_without_a_limit_it_is_waited_for(client: Client) -> None:
    client.ssh(HOLDING)
    ours = client.start("id", URL, *UNLIMITED)
    until("its ssh to end", lambda: have_ended(client, 1))
    limited = client.run("id", URL, *IMPATIENT)
    assert ours.poll() is None
    assert client.closed()[0]["outcome"] == "timeout"
    client.release()
    assert finish(ours) == limited
    assert client.closed()[0]["outcome"] == "closed"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("", "timeout"),
        ("exec 2>&-\n", "timeout"),
        ("trap '' TERM\n", "killed"),
        ("trap '' TERM\nexec 2>&-\n", "killed"),
    ],
    ids=["plain", "silent", "deaf", "silent-deaf"],
)
def test_an_ssh_that_goes_on_is_ended(
    client: Client, script: str, outcome: str
) -> None:
    client.ssh(script + "serve\ngo_on\n")
    done = client.run("id", URL, *IMPATIENT)
    assert done == Finished(0, f"{TIP}\n".encode(), b"")
    (ssh,) = client.marks("starts")
    (closed,) = client.closed()
    assert closed["outcome"] == outcome
    # Of the shell that hg starts ssh by; some shells become ssh.
    codes = {-signal.SIGTERM}
    if outcome == "killed":
        codes.add(-signal.SIGKILL)
    assert closed["exit_code"] in codes
    assert not lives(ssh)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("echo refused >&2\nexit 255\n", 255),
        ("exit 0\n", 0),
        ("echo a banner\nserve between\n", 3),
        ("serve lookup || { printf gone >&2; exit 9; }\n", 9),
        ("serve lookup || kill -KILL $$\n", -signal.SIGKILL),
    ],
    ids=["refused", "silent", "in-hello", "in-lookup", "killed"],
)
def test_an_ssh_that_ends_early(
    client: Client, every_hg: str, script: str, code: int
) -> None:
    client.ssh(script)
    stock = client.run("id", URL, *STOCK)
    ours = client.run("id", URL)
    assert ours == stock
    assert ours.status == 255
    (closed,) = client.closed()
    # A shell between hg and ssh has its own way to tell of a signal.
    codes = (code, 128 - code if code < 0 else code)
    assert closed["outcome"] == "closed"
    assert closed["exit_code"] in codes
    assert not closed["leaked"]


def test_an_ssh_that_does_not_exist(client: Client, every_hg: str) -> None:
    client.home.configure("[ui]\nssh = /nonexistent/ssh\n")
    stock = client.run("id", URL, *STOCK)
    ours = client.run("id", URL)
    assert ours == stock
    assert ours.status == 255
    (closed,) = client.closed()
    assert (closed["outcome"], closed["exit_code"]) == ("closed", 127)


def test_many_leaked_peers_are_all_closed(
    client: Client, every_hg: str
) -> None:
    client.ssh("serve\n")
    client.commands(OPENING)
    assert client.run("keep", "50") == Finished(1, b"", b"")
    closed = client.closed()
    assert len(closed) == 50
    assert all(options["leaked"] for options in closed)
    assert {options["outcome"] for options in closed} == {"closed"}
    assert not any(map(lives, client.marks("starts")))


def test_dropped_peers_are_closed_one_by_one(
    client: Client, every_hg: str
) -> None:
    client.ssh("echo start >> $OUT/order\nserve\necho end >> $OUT/order\n")
    client.commands(OPENING)
    assert client.run("drop", "10") == Finished(0, b"", b"")
    order = client.home.read("order").split()
    assert order == ["start", "end"] * 10
    closed = client.closed()
    assert [options["leaked"] for options in closed] == [True] * 10


def test_no_warning_of_what_is_closed_in_time(
    client: Client, every_hg: str
) -> None:
    client.ssh("serve_really\n")
    repository = client.repository()
    clone = client.home.path / "clone"
    shutil.copytree(repository, clone)
    (clone / ".hg" / "hgrc").write_text(
        f"[paths]\ndefault = ssh://server/{repository}\n"
    )
    warnings = ("--config", "devel.all-warnings=1")
    warned = b""
    for command in (("summary", "--remote"), ("log", "-r", "remote(tip)")):
        plain = client.run(*command, *STOCK, cwd=clone)
        warned += client.run(*command, *STOCK, *warnings, cwd=clone).err
        ours = client.run(*command, *warnings, cwd=clone)
        assert ours == plain
        assert client.closed()
    assert b"missing close on SSH connection" in warned


INTERRUPTIONS = [
    (signal.SIGINT, b"interrupted!\n"),
    (signal.SIGTERM, b"killed!\n"),
]


@pytest.mark.parametrize(("signum", "said"), INTERRUPTIONS)
def test_who_interrupts_a_close_waits_no_longer(
    client: Client, every_hg: str, signum: signal.Signals, said: bytes
) -> None:
    client.ssh(HOLDING)
    ours = client.start("id", URL, *PATIENT)
    until("its ssh to end", lambda: have_ended(client, 1))
    ours.send_signal(signum)
    done = finish(ours)
    (holder,) = client.marks("holders")
    assert lives(holder)
    (closed,) = client.closed()
    assert (closed["outcome"], closed["leaked"]) == ("interrupted", False)
    assert (done.status, done.err) == (255, b"remote: one\n" + said)
    # Stock hg says the same, and then waits again.
    stock = client.start("id", URL, *STOCK)
    until("its ssh to end", lambda: have_ended(client, 2))
    stock.send_signal(signum)
    client.release()
    stocks = finish(stock)
    assert (done.status, done.err) == (stocks.status, stocks.err)


def test_an_interrupted_close_leaves_no_ssh(client: Client) -> None:
    client.ssh("trap '' TERM\nserve\nmark ends\ngo_on\n")
    hg = client.start("id", URL, *PATIENT)
    until("its server to end", lambda: client.marks("ends"))
    hg.send_signal(signal.SIGTERM)
    done = finish(hg)
    assert (done.status, done.err) == (255, b"killed!\n")
    (ssh,) = client.marks("starts")
    assert not lives(ssh)
    assert client.closed()[0]["outcome"] == "interrupted"


@pytest.mark.parametrize(("signum", "said"), INTERRUPTIONS)
def test_a_signal_at_the_end_leaves_the_commands_status(
    client: Client, every_hg: str, signum: signal.Signals, said: bytes
) -> None:
    client.ssh(HOLDING)
    client.commands(OPENING)
    hg = client.start("keep", "1", *PATIENT)
    until("its ssh to end", lambda: have_ended(client, 1))
    hg.send_signal(signum)
    done = finish(hg)
    (holder,) = client.marks("holders")
    assert lives(holder)
    assert (done.status, done.err) == (1, b"remote: one\n")
    (closed,) = client.closed()
    assert (closed["outcome"], closed["leaked"]) == ("interrupted", True)


def test_a_slow_hook_is_listened_to(client: Client) -> None:
    client.ssh("serve_really\n")
    repository = client.repository()
    clone = client.home.path / "clone"
    shutil.copytree(repository, clone)
    (repository / ".hg" / "hgrc").write_text(
        "[hooks]\n"
        "changegroup = for i in $(seq 20); do echo line $i; sleep 0.2; done\n"
    )
    (clone / "b").write_text("b\n")
    client.run("commit", "-Am", "b", *STOCK, cwd=clone)
    url = f"ssh://server/{repository}"
    # It takes longer, but hg still waits for an answer.
    done = client.run("push", url, *BRIEF, cwd=clone)
    assert done.status == 0, done
    said = done.out.splitlines()
    lines = [line for line in said if line.startswith(b"remote: line ")]
    assert lines == [b"remote: line %d" % n for n in range(1, 21)]
    (closed,) = client.closed()
    assert (closed["outcome"], closed["leaked"]) == ("closed", False)


LAST_WORDS = """\
serve
printf '\\n\\n\\r\\none\\rtwo\\r\\n\\0\\377\\n \\n' >&2
yes 'a line of some length' | head -c 200000 >&2
head -c 1000000 /dev/zero >&2
printf 'one\\ntwo' >&2
"""


# Says more than its pipe holds, and then for a while nothing.
SLOW_HOOK = "[hooks]\npretxnchangegroup = seq 2000 >&2; sleep 2; seq 9 >&2\n"


def test_a_large_push_passes_narrow_pipes_and_a_slow_server(
    client: Client,
) -> None:
    client.ssh('exec "$PYTHON" -IS "$HELPERS/narrow.py" sh -c "$command"\n')
    empty = client.repository()
    home = client.home
    work, again = home.path / "work", home.path / "again"
    shutil.copytree(empty, work, symlinks=True)
    with (empty / ".hg" / "hgrc").open("a") as hgrc:
        hgrc.write(SLOW_HOOK)
    shutil.copytree(empty, again, symlinks=True)
    # What cannot be compressed.
    (work / "large").write_bytes(random.Random(1).randbytes(1 << 20))
    home.hg("commit", "-qAm", "large", "-R", str(work), *STOCK)
    hasty = ("--config", "uilog.peer-timeout=1")
    ours = client.run("push", "-R", "work", URL, *hasty)
    (closed,) = client.closed()
    assert (closed["outcome"], closed["exit_code"]) == ("closed", 0)
    shutil.rmtree(empty)
    again.rename(empty)
    home.hg("phase", "-fd", "tip", "-R", str(work), *STOCK)
    stock = client.run("push", "-R", "work", URL, *STOCK)
    assert (ours.status, ours.err) == (stock.status, stock.err) == (0, b"")
    # hg shows a line in two where it has found half of it in the pipe.
    said = [it.out.replace(b"remote: ", b"") for it in (ours, stock)]
    first, second = (it.replace(b"\n", b"") for it in said)
    assert first == second
    assert b"199920001234" in first
    assert home.hg("id", "-r", "tip", "work") == home.hg(
        "id", "-r", "tip", "repo"
    )


def test_what_is_said_at_the_end_is_shown_as_it_is(
    client: Client, every_hg: str
) -> None:
    client.ssh(LAST_WORDS)
    stock = client.run("id", URL, *STOCK)
    ours = client.run("id", URL)
    assert ours == stock
    assert b"\nremote: one\rtwo\r\nremote: \0\377\n" in ours.out
    assert ours.out.endswith(b"\0one\nremote: two")
    assert client.closed()[0]["outcome"] == "closed"


def test_a_line_without_end_is_shown_in_pieces(client: Client) -> None:
    client.ssh("serve\nhead -c 3000000 /dev/zero >&2\n")
    done = client.run("id", URL)
    pieces = done.out.split(b"remote: ")[1:]
    assert b"".join(pieces) == b"\0" * 3_000_000
    assert len(pieces) == 3


def test_whoever_goes_on_talking_is_listened_to(client: Client) -> None:
    # The limit is less than all of it takes, and far more than each line.
    client.ssh(
        "serve\nfor i in $(seq 30); do echo line $i >&2; sleep 0.2; done\n"
    )
    done = client.run("id", URL, "--config", "uilog.peer-timeout=5")
    said = "".join(f"remote: line {n}\n" for n in range(1, 31))
    assert done == Finished(0, f"{TIP}\n{said}".encode(), b"")
    assert client.closed()[0]["outcome"] == "closed"


@pytest.mark.parametrize(
    ("goes_on", "shown"),
    [
        ("while :; do echo x >&2; sleep 0.2; done\n", b"remote: x\n"),
        ("while :; do printf x >&2; sleep 0.2; done\n", b"remote: xx"),
    ],
    ids=["lines", "bytes"],
)
def test_a_server_that_never_stops_talking_is_cut(
    client: Client, goes_on: str, shown: bytes
) -> None:
    client.ssh("serve\n" + goes_on)
    done = client.run("id", URL, "--debug", *BRIEF)
    (ssh,) = client.marks("starts")
    assert not lives(ssh)
    assert done.status == 0
    assert shown in done.out
    assert b"stopped waiting (uilog.peer-close-max)\n" in done.err
    (closed,) = client.closed()
    assert (closed["outcome"], closed["leaked"]) == ("cut", False)


def test_what_a_command_leaves_open_shares_one_limit(client: Client) -> None:
    client.ssh("serve\nwhile :; do echo x >&2; sleep 0.2; done\n")
    # Two are closed as the next one is opened, the others at the end.
    client.commands(
        OPENING
        + """
@command(b'leak', [], norepo=True)
def leak(ui):
    connect(ui)
    connect(ui)
    kept.extend([connect(ui), connect(ui), connect(ui)])
    counts(ui)
"""
    )
    done = client.run("leak", "--debug", *BRIEF)
    assert b"cut 2\n" in done.out
    # The first one has used all but the least that each gets.
    reports = re.findall(rb"still sent output (\d) s after", done.err)
    assert reports == [b"2", b"1", b"1", b"1", b"1"]
    closed = client.closed()
    assert [it["outcome"] for it in closed] == ["cut"] * 5
    assert all(it["leaked"] for it in closed)


def test_an_http_peer_has_its_event(client: Client, every_hg: str) -> None:
    client.commands(OPENING)
    repository = client.repository()
    options = ("-a", "127.0.0.1", "-p", "0", *STOCK)
    web = client.start("serve", *options, cwd=repository)
    try:
        assert web.stdout is not None
        port = web.stdout.readline().split(b":")[-1].strip(b")\n").decode()
        url = f"http://user:secret@127.0.0.1:{port}/"
        for verbosity in ((), ("-v",)):
            stock = client.run("id", url, *STOCK, *verbosity)
            assert stock.status == 0
            assert client.run("id", url, *verbosity) == stock
            events = client.events()
            (closed,) = (event["options"] for event in events)
            assert closed.pop("duration") >= 0
            assert {closed.pop(it) is None for it in TRAFFIC} == {False}
            hidden = f"http://user:***@127.0.0.1:{port}/"
            expected = {"url": hidden, "outcome": "closed", "leaked": False}
            assert closed == expected
            assert "secret" not in str(events)
        # Closing it says, with -v, how much was sent: nobody has asked.
        stock = client.run("keepthis", url, *STOCK, "-v")
        assert client.run("keepthis", url, "-v") == stock
        (closed,) = client.closed()
        assert (closed["url"], closed["leaked"]) == (hidden, True)
        stock = client.run("dropthis", url, *STOCK, "-v")
        assert client.run("dropthis", url, "-v") == stock
        (closed,) = client.closed()
        assert (closed["url"], closed["leaked"]) == (hidden, True)
    finally:
        web.terminate()
        web.communicate()


def test_what_is_said_of_a_connection(client: Client, every_hg: str) -> None:
    client.ssh("serve\n")
    usual = {"url", "duration", "outcome", "leaked", "exit_code", *TRAFFIC}
    for option in ("--quiet", "--verbose"):
        client.run("id", URL, option)
        (closed,) = client.closed()
        assert set(closed) == usual
        assert isinstance(closed.pop("duration"), float)
        assert {closed.pop(it) is None for it in TRAFFIC} == {False}
        assert closed == {
            "url": URL,
            "outcome": "closed",
            "leaked": False,
            "exit_code": 0,
        }
    for option in ("--debug", "--config=devel.all-warnings=1"):
        client.run("id", URL, option)
        (closed,) = client.closed()
        assert set(closed) == {*usual, "opened_at"}
        assert " in identify\n" in closed["opened_at"]


def test_a_script_finds_it_in_its_environment(client: Client) -> None:
    client.ssh("serve\n")
    client.home.configure(
        "[logtoprocess]\npeerclose:stdin =\n"
        'peerclose = echo "$OPT_URL $OPT_OUTCOME $OPT_LEAKED $OPT_EXIT_CODE"'
        ' >> $OUT/who; echo "$MSG1" >> $OUT/who\n'
    )
    client.run("id", URL)
    until("the script", lambda: client.home.read("who").count("\n") >= 2)
    who, message = client.home.read("who").splitlines()[:2]
    assert who == f"{URL} closed 0 0"
    said = f"connection to {re.escape(URL)} closed after \\d+\\.\\d+ s"
    assert re.match(said, message)


def test_a_local_peer_has_no_event(client: Client, every_hg: str) -> None:
    repository = client.repository()
    shutil.copytree(repository, client.home.path / "other")
    for command in (("id", "../other"), ("incoming", "../other")):
        stock = client.run(*command, *STOCK, cwd=repository)
        assert client.run(*command, cwd=repository) == stock
        assert client.events() == []
