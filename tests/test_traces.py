"""Commands and hooks within each other are one trace, and one tree."""

from __future__ import annotations

import processes
import pytest
import span_tree
from conftest import Chg, Home, until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# Hooks that run commands in their own process.
HOOKS = """\
import os
import threading

from mercurial import dispatch, encoding

try:
    from mercurial.main_script import request
except ImportError:
    from mercurial.dispatch import request


def traceparent():
    return os.environ.get("TRACEPARENT", "none")


def note(name):
    with open(os.path.join(os.environ["OUT"], name), "a") as fp:
        fp.write(traceparent() + "\\n")


def run(ui, repo, *args):
    # Standard output may be a command server's.
    args = [b"-R", repo.root, *args]
    return dispatch.dispatch(request(args, fout=ui.fout, ferr=ui.ferr))


def nested(ui, repo, **kwargs):
    before = traceparent()
    assert run(ui, repo, b"identify") == 0
    ui.log(b"mark", b"after the nested command\\n")
    assert traceparent() == before


def deeper(ui, repo, **kwargs):
    assert run(ui, repo, b"branch") == 0
    note("deepest")


def failing(ui, repo, **kwargs):
    before = traceparent()
    assert run(ui, repo, b"update", b"nowhere") != 0
    assert run(ui, repo, b"raising") != 0
    assert traceparent() == before


def halfway(ui, repo, **kwargs):
    # What begins here, nobody ends.
    before = traceparent()
    dispatch._dispatch(request([b"root"], ui=ui.copy(), repo=repo))
    assert traceparent() == before


def threaded(ui, repo, **kwargs):
    before = traceparent()
    args = (ui, repo, b"calling")
    threads = [threading.Thread(target=run, args=args) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traceparent() == before


def raising(ui, repo, **kwargs):
    raise RuntimeError
"""

EXTENSION = """\
import os

from mercurial import error, registrar

cmdtable = {}
command = registrar.command(cmdtable)


@command(b"raising", norepo=True)
def raising(ui):
    raise error.Abort(b"no")


@command(b"calling", norepo=True)
def calling(ui):
    ui.system(b"hg version -q")
"""

HGRC = """\
[extensions]
more = {home}/more.py
[uilog]
sink.all = file:{home}/records.jsonl
[alias]
shell = !hg version -q
[hooks]
pre-status.1 = python:{home}/hooks.py:nested
pre-status.2 = python:{home}/hooks.py:failing
pre-status.3 = echo $TRACEPARENT >> $OUT/hook; hg root
pre-status.4 = python:{home}/hooks.py:threaded
post-status.5 = python:{home}/hooks.py:halfway
post-status.6 = hg calling
pre-identify.1 = python:{home}/hooks.py:deeper
pre-branch.1 = hg root
pre-shell.1 = hg calling
"""

# What `hg status` is then.
STATUS = """\
status
  hook pre-status
    identify
      hook pre-identify
        branch
          hook pre-branch.1
            root
  hook pre-status
    update -> 255
    raising -> 255
  hook pre-status.3
    root
  hook pre-status
    calling
      version
    calling
      version
  hook post-status
  hook post-status.6
    calling
      version
"""

ALIAS = """\
shell
  hook pre-shell.1
    calling
      version
  version
"""


@pytest.fixture
def traced(home: Home) -> Home:
    """A home whose records tell of nested commands."""
    (home.path / "hooks.py").write_text(HOOKS)
    (home.path / "more.py").write_text(EXTENSION)
    home.unseen_repository()
    home.configure(HGRC.format(home=home.path))
    return home


def recorded(home: Home) -> list[span_tree.Record]:
    """What has been recorded, once everybody who records has ended."""
    assert not processes.wait_until_gone(str(home.path))
    return span_tree.read([str(home.path / "records.jsonl")])


def tree(home: Home) -> list[str]:
    """What has been recorded, as a tree; it is forgotten then."""
    records = recorded(home)
    (home.path / "records.jsonl").unlink()
    return span_tree.draw(records)


def below(parent: str, text: str) -> list[str]:
    """The lines of a tree, below another line."""
    lines = text.splitlines()
    return [parent, *(span_tree.INDENT + line for line in lines)]


def test_whatever_a_command_runs_is_below_it(
    traced: Home, every_hg: str
) -> None:
    repository = traced.path / "repo"
    traced.hg("status", cwd=repository)
    records = recorded(traced)
    assert tree(traced) == STATUS.splitlines()
    assert len({record["trace_id"] for record in records}) == 1
    # The hook's own span is what a program finds in the environment.
    hook = span_of(records, "exthook", "pre-status.3")
    assert traced.read("hook").split("-")[2] == hook["span_id"]
    nested = span_of(records, "pythonhook", "pre-identify")
    assert traced.read("deepest").split("-")[2] == nested["span_id"]
    # What a nested command has used, the outer one has used as well.
    commands = {
        record["process"]["command"]: record
        for record in ends(records, "commandfinish")
    }
    outer, inner = commands["status"], commands["identify"]
    assert (
        outer["usage"]["user_cpu_seconds"] >= inner["usage"]["user_cpu_seconds"]
    )
    assert outer["duration"] >= inner["duration"]
    # Each belongs to its repository, whatever ran inside of it.
    assert outer["repository"]["root"] == str(repository)
    # What a hook logs, belongs to the hook.
    (mark,) = ends(records, "mark")
    first = span_of(records, "pythonhook", "pre-status")
    assert mark["span_id"] == first["span_id"]


def ends(records: list[span_tree.Record], event: str) -> list[span_tree.Record]:
    return [record for record in records if record["event"] == event]


def span_of(
    records: list[span_tree.Record], event: str, name: str
) -> span_tree.Record:
    """The end of the first hook of this name."""
    found = ends(records, event)
    return next(it for it in found if it["hook"]["name"] == name)


def test_a_state_is_handed_on_with_its_trace_alone(traced: Home) -> None:
    hook = f'echo "$TRACEPARENT ${{TRACESTATE-none}}" >> {traced.path}/told'
    arguments = ("hg", "root", "--config", f"hooks.pre-root={hook}")
    state = "congo=t61rcWkgMzE,ot=th:8"
    wrong = PARENT.replace("00-", "ff-")
    for variables in [
        {"TRACEPARENT": PARENT[:-2] + "ff", "TRACESTATE": state},
        {"TRACEPARENT": wrong, "TRACESTATE": state},
        {"TRACESTATE": state},
        {"TRACEPARENT": PARENT},
    ]:
        traced.run(*arguments, cwd=traced.path / "repo", **variables)
    lines = (traced.path / "told").read_text().splitlines()
    told = [line.split(" ", 1) for line in lines]
    assert [it[1] for it in told] == [state, "none", "none", "none"]
    traces = [it[0].split("-")[1] for it in told]
    assert [it == PARENT.split("-")[1] for it in traces] == [1, 0, 0, 1]
    # Of the flags only those that are known.
    assert told[0][0].endswith("-03")
    records = recorded(traced)
    finished = ends(records, "commandfinish")
    states = [it.get("trace_state") for it in finished]
    kept = "ot=th:0,congo=t61rcWkgMzE"
    assert states == [kept, None, None, None]


def test_a_repository_is_told_with_its_origin_and_its_head(
    traced: Home,
) -> None:
    repository = traced.path / "repo"
    (repository / ".hg" / "hgrc").write_text(
        "[paths]\ndefault = https://joe:hunter2@hg.example/a/main\n"
    )
    tip = traced.run("hg", "log", "-r", ".", "-T", "{node}", cwd=repository)
    traced.run("hg", "summary", cwd=repository)
    records = recorded(traced)
    finished = ends(records, "commandfinish")
    for record in finished:
        told = record["repository"]
        assert told["name"] == "repo"
        assert told["url"] == "https://hg.example/a/main"
        assert told["head_revision"] == tip.strip()
    # What hg does not have in memory at the end is not known.
    heads = {it["repository"].get("head_name") for it in finished}
    assert heads == {None, "default"}


def test_an_alias_is_a_command_like_others(traced: Home) -> None:
    traced.run("hg", "shell", TRACEPARENT=PARENT)
    assert tree(traced) == below("?", ALIAS)


def test_a_servers_commands_are_traces_of_their_own(traced: Home) -> None:
    with traced.serving(traced.path / "repo") as client:
        for _ in range(2):
            client.rawcommand([b"status"])
    # In the order of their ends.
    assert tree(traced) == [*(STATUS * 2).splitlines(), "serve"]


def test_a_command_behind_chg_is_a_part_of_its_client(
    traced: Home, chg: Chg
) -> None:
    repository = traced.path / "repo"
    chg("shell", cwd=repository, TRACEPARENT=PARENT)
    chg("shell", cwd=repository)

    def records() -> list[span_tree.Record]:
        found = span_tree.read([str(traced.path / "records.jsonl")])
        # The server goes on.
        return [it for it in found if not it["message"].startswith("serve")]

    until("both", lambda: len(ends(records(), "commandfinish")) == 8)
    expected = [*ALIAS.splitlines(), *below("?", ALIAS)]
    assert span_tree.draw(records()) == expected


def test_under_run_it_is_below_what_runs_it(traced: Home) -> None:
    traced.run("uilog", "run", "--", "hg", "shell", TRACEPARENT=PARENT)
    assert tree(traced) == below("?", ALIAS)
    script = "hg version -q; hg shell; exit 0"
    traced.run("uilog", "run", "--", "sh", "-c", script)
    expected = below("sh", f"version\n{ALIAS}")
    assert tree(traced) == expected
