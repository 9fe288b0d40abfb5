"""uilog is upgraded or removed while servers run that have loaded it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import fleet
import hglib
import processes
from conftest import BARE_HGRC, Chg, Home, chg_servers, kill, until
from connections import lives
from growing import whole_lines

# Which program has started it: a dispatcher is its scripts' parent.
WHO = (
    "[uilog]\nmax-scripts = 1\n[logtoprocess]\n"
    'command = echo "$(readlink /proc/$PPID/exe)" >> $OUT/who\n'
    'commandfinish = echo "$(readlink /proc/$PPID/exe)" >> $OUT/who\n'
)


class Site:
    """An installation of the test's own, as by `pip install --target`."""

    def __init__(self, home: Home) -> None:
        hg = shutil.which("hg", path=home.env["PATH"])
        assert hg is not None
        (self._from,) = Path(hg).parent.parent.glob("lib/python*/site-packages")
        self._programs = Path(hg).parent
        self.path = home.path / "site"
        self.package = self.path / "hgext3rd" / "uilog"
        self.bin = self.path / "bin"
        # What runs scripts.
        self.program = self.bin / "uilog-dispatcher"
        self._put(self.path)
        home.env["PYTHONPATH"] = str(self.path)

    def _put(self, path: Path) -> None:
        shutil.copytree(self._from / "hgext3rd", path / "hgext3rd")
        (path / "bin").mkdir()
        for name in ("uilog", "uilog-dispatcher"):
            shutil.copy(self._programs / name, path / "bin" / name)

    def upgrade(self) -> None:
        """Puts other files in the place of these, as pip does."""
        new = self.path.with_name("new")
        self._put(new)
        programs = (self.bin / "uilog", self.program)
        for path in (self.package, *programs):
            here = new / path.relative_to(self.path)
            if path.exists():
                path.rename(new / f"old-{path.name}-{path.parent.name}")
            here.rename(path)
        shutil.rmtree(new)

    def remove(self) -> None:
        """Takes them away."""
        shutil.rmtree(self.package)
        for program in list(self.bin.iterdir()):
            program.unlink()


def run(client: hglib.client.hgclient, *command: str) -> bytes:
    out: bytes = client.rawcommand([it.encode() for it in command])
    return out


def lost(home: Home) -> int:
    return sum(it["lost"] for it in failures(home))


def failures(home: Home) -> list[dict[str, Any]]:
    journal = home.path / ".local" / "state" / "uilog" / "failures.jsonl"
    return [json.loads(line) for line in whole_lines(journal).splitlines()]


def kill_dispatchers(home: Home) -> None:
    pids = fleet.dispatchers(home)
    for pid in pids:
        kill(pid)
    # Before that one may have its socket still, though its memory has gone.
    until("their end", lambda: not any(map(lives, pids)))


def test_a_server_outlives_an_upgrade(home: Home) -> None:
    repository = home.repository()
    site = Site(home)
    home.configure("[extensions]\nblackbox =\n" + WHO)

    def who() -> list[str]:
        return home.read("who").splitlines()

    with home.serving(repository) as client:
        until("the server's own", lambda: who() == [str(site.program)])
        site.upgrade()
        run(client, "root")
        until("the old program", lambda: len(who()) == 3)
        assert all(it.endswith(" (deleted)") for it in who()[1:])
        # Whoever is started now is of the new version.
        kill_dispatchers(home)
        run(client, "root")
        until("the new one", lambda: who()[3:] == [str(site.program)] * 2)
        site.remove()
        # What it does needs nothing that is not loaded.
        assert b"sinks: logtoprocess" in run(client, "debuguilog")
        assert b"root exited 0" in run(client, "blackbox", "--since", "-1")
        until("their scripts", lambda: len(who()) == 9)
        assert not failures(home)
        kill_dispatchers(home)
        run(client, "root")
        until("the loss to be told", lambda: lost(home) == 2)
        site.upgrade()
        until("it to be tried again", lambda: serves(client, home))


def test_a_server_that_logs_nothing_outlives_an_upgrade(home: Home) -> None:
    repository = home.repository()
    other = home.path / "other"
    shutil.copytree(repository, other, symlinks=True)
    log = home.path / "other.jsonl"
    (other / ".hg" / "hgrc").write_text(f"[uilog]\nsink.log = file:{log}\n")
    site = Site(home)
    with home.serving(repository) as client:
        # Nothing has been logged yet, and nothing can be loaded any more.
        shutil.rmtree(site.package)
        run(client, "root")
        assert run(client, "root", "-R", str(other)) == f"{other}\n".encode()
        script = "logtoprocess.commandfinish=echo $OPT_RETURN_CODE >> $OUT/end"
        run(client, "root", "--config", script)
        until("the script", lambda: home.read("end") == "0\n")
        assert b"sinks: none" in run(client, "debuguilog")
    assert not processes.wait_until_gone(str(home.path))
    records = map(json.loads, whole_lines(log).splitlines())
    # hg logs the end by what the server is configured with.
    assert [it["event"] for it in records] == ["command"]
    assert not failures(home)


# A command whose configuration asks for a script when uilog is another one.
LATER = """\
import os
import hgext3rd.uilog as uilog
from mercurial import extensions, registrar

cmdtable = {}
command = registrar.command(cmdtable)


@command(b'later', [], norepo=True)
def later(ui):
    os.utime(uilog.__file__)
    for ui in (ui.copy(), ui.copy()):
        ui.setconfig(b'logtoprocess', b'later', b'true')
        extensions.populateui(ui)
        ui.log(b'later', b'nobody hears\\n')
    ui.write(b'done\\n')
"""


TOUCHING = """\
import os
import hgext3rd.uilog as uilog


def extsetup(ui):
    os.utime(uilog.__file__)
"""


def test_a_command_loads_nothing_of_another_version(home: Home) -> None:
    home.hgrc.write_text(BARE_HGRC)
    Site(home)
    home.extension("later", LATER)
    done = home.run("sh", "-c", "hg later 2>&1")
    assert done == (
        '*** failed to import extension "uilog":'
        " uilog has been upgraded since hg was started\n"
        "done\n"
    )
    # With fewer options it would show what was not asked for.
    home.configure("[extensions]\nblackbox =\n")
    home.extension("touching", TOUCHING)
    done = home.run("sh", "-c", "hg init repo; cd repo; hg blackbox 2>&1; :")
    assert done == (
        "abort: cannot read the blackbox:"
        " uilog has been upgraded since hg was started\n"
    )


# A program of another version: it refuses the queue, where each version reads
# that (queue/layout.rs), and ends.
OTHER_PROTOCOL = 99
REFUSED_BY_AT = 512 + 7 * 8
REFUSES = f"""\
#!{sys.executable} -IS
import os
os.pwrite(1, ({OTHER_PROTOCOL}).to_bytes(8, 'little'), {REFUSED_BY_AT})
"""


def test_what_another_protocol_refuses_is_counted(home: Home) -> None:
    repository = home.repository()
    site = Site(home)
    home.configure(WHO)
    with home.serving(repository) as client:
        until("the server's own", lambda: home.read("who"))
        kill_dispatchers(home)
        for program in list(site.bin.iterdir()):
            program.unlink()
            program.write_text(REFUSES)
            program.chmod(0o755)
        commands = 0

        def is_counted() -> bool:
            nonlocal commands
            assert run(client, "root") == f"{repository}\n".encode()
            commands += 1
            return commands > 2 and lost(home) >= 2 * commands - 2

        until("the losses", is_counted)
        assert any(
            f"speaks protocol {OTHER_PROTOCOL}, this hg" in it["detail"]
            for it in failures(home)
        )
        site.upgrade()
        until("the right one", lambda: serves(client, home))
    assert not processes.wait_until_gone(str(home.path))


def serves(client: hglib.client.hgclient, home: Home) -> bool:
    """Whether a script runs for what is logged now."""
    before = home.read("who")
    run(client, "root")
    return home.read("who") != before


def test_chg_serves_the_new_version(home: Home, chg: Chg) -> None:
    repository = home.repository()
    site = Site(home)
    home.configure(WHO)
    chg("root", cwd=repository)
    (old,) = (it.pid for it in chg_servers(home))

    def scripts() -> int:
        return home.read("who").count("\n")

    # The server's own, and of each command two.
    until("the first", lambda: scripts() == 3)
    # chg looks at the time and size of one file: it does not notice, and the
    # old server's workers go on with what it has loaded.
    site.upgrade()
    chg("root", cwd=repository)
    until("the second", lambda: scripts() == 5)
    assert processes.look(old) is not None
    os.utime(site.package / "__init__.py")
    chg("root", cwd=repository)
    until("the old server to end", lambda: processes.look(old) is None)
    # The old one has an end, the new one a beginning.
    until("the third", lambda: scripts() == 9)
    assert not failures(home)
