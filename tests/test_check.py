"""`uilog check` if parts of the system are missing, and with other installed
programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Home

# Root of a file system of one's own.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"there is no {program}")
    return path


def codes(home: Home, *argv: str, **env: str) -> list[str]:
    """The kinds of findings of `uilog check`, run by this command line."""
    done = subprocess.run(
        argv,
        env={**home.env, **env},
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    # strace and unshare pass on the status, which is 1 for an error.
    assert done.returncode in (0, 1), done.stderr
    return [it["code"] for it in json.loads(done.stdout)["findings"]]


@pytest.mark.parametrize(
    ("temporary", "expected"),
    [("", "queue-on-disk"), ("/no/such/directory", "queue-refused")],
)
def test_memory_is_refused(home: Home, temporary: str, expected: str) -> None:
    need("strace")
    env = {"TMPDIR": temporary} if temporary else {}
    check = ("uilog", "check", "-T", "json")
    assert expected not in codes(home, *check, **env)
    refuse = ("-e", "inject=memfd_create:error=ENOSYS")
    found = codes(home, "strace", "-qq", "-o/dev/null", *refuse, *check, **env)
    assert expected in found


def test_the_disk_is_full(home: Home) -> None:
    need("unshare")
    probe = "mount -t tmpfs none /mnt"
    done = subprocess.run([*NAMESPACE, "sh", "-c", probe], capture_output=True)
    if done.returncode != 0:
        pytest.skip("nothing may be mounted here")
    home.configure("blackbox =\n")
    (home.path / "small").mkdir()
    script = (
        "mount -t tmpfs -o size=1m none small && hg init small/repo && "
        "uilog check -R small/repo -T json > before; "
        "cat /dev/zero > small/fill 2> errors; "
        "uilog check -R small/repo -T json"
    )
    assert "disk-full" in codes(home, *NAMESPACE, "sh", "-c", script)
    assert "disk-full" not in (home.path / "before").read_text()


def share() -> Path:
    """Where data of this installation is."""
    return Path(need("uilog")).parent.parent / "share"


def said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Words before the cursor, and what is proposed. A description is left out.
COMPLETED = [
    ("uilog stat", ["status"]),
    ("uilog check --run commandf", ["commandfinish"]),
    ("uilog check --connect ", ["audit", "fleet"]),
    ("uilog check --connect=fl", ["--connect=fleet"]),
    ("uilog config uilog.max", ["uilog.max-scripts"]),
    ("uilog help uilog.sink.NAME:tr", ["uilog.sink.NAME:track"]),
    ("uilog spool flush ", ["fleet"]),
    ("uilog trace l", ["last"]),
    ("uilog flush --wait ", []),
    ("uilog status x", []),
    ("uilog log fi", ["file with blank.jsonl"]),
    ("uilog check -R di", ["directory"]),
]


@pytest.fixture
def shell(home: Home) -> Callable[..., str]:
    """Runs a shell in a home with two sinks, a file and a directory."""
    home.configure(
        "[uilog]\nsink.audit = file:~/audit.jsonl\n"
        "sink.fleet = otlp:http://127.0.0.1:9\n"
    )
    (home.path / "file with blank.jsonl").touch()
    (home.path / "directory").mkdir()
    home.run("uilog", "emit", "backup", "done", "--config", "uilog.agent=no")
    home.env.update(TERM="dumb", LC_ALL="C.UTF-8")
    return home.run


def test_bash_completes(shell: Callable[..., str]) -> None:
    bash = need("bash")
    script = """
        . "$1"
        complete -p uilog >/dev/null || exit
        COMP_LINE=$2 COMP_POINT=${#2}
        _uilog
        printf '%s\n' "${COMPREPLY[@]}"
    """
    file = str(share() / "bash-completion/completions/uilog")
    for line, proposed in COMPLETED:
        output = shell(bash, "--norc", "-c", script, "bash", file, line)
        # bash replaces what follows the last of these in the line.
        word = line.rpartition(" ")[2]
        known = re.sub(r"[^:=]*$", "", word)
        found = [known + it for it in output.splitlines() if it]
        assert found == proposed, line


def test_zsh_completes(shell: Callable[..., str]) -> None:
    zsh = need("zsh")
    directory = str(share() / "zsh/site-functions")
    script = (
        'fpath=("$1" $fpath); autoload -U compinit; compinit -u -D; '
        "print -r -- $_comps[uilog]; autoload +X _uilog && print loaded"
    )
    output = shell(zsh, "-f", "-c", script, "zsh", directory)
    assert output.split() == ["_uilog", "loaded"]
    # Functions that print, in the place of those that a cursor is needed for.
    script = r"""
        compdef() { : }
        compset() { : }
        compadd() { print -rl -- "${values[@]}" }
        _files() {
            local -a found
            found=($PREFIX*(N))
            [[ $1 == -/ ]] && found=($PREFIX*(N/))
            print -rl -- "${found[@]}"
        }
        words=("${(@s: :)2}") CURRENT=$#words PREFIX=$words[-1]
        . "$1/_uilog"
        _uilog || true  # There may be nothing to propose.
    """
    for line, proposed in COMPLETED:
        output = shell(zsh, "-f", "-c", script, "zsh", directory, line)
        assert [it for it in output.splitlines() if it] == proposed, line


def test_fish_completes(shell: Callable[..., str]) -> None:
    fish = need("fish")
    file = share() / "fish/vendor_completions.d/uilog.fish"
    for line, proposed in COMPLETED:
        script = f"source '{file}'; complete -C '{line}'"
        output = shell(fish, "--no-config", "-c", script)
        found = [it.partition("\t")[0] for it in output.splitlines()]
        # fish quotes what it would insert, and marks directories.
        found = [it.replace("\\ ", " ").rstrip("/") for it in found]
        assert found == proposed, line


@pytest.mark.parametrize("page", ["uilog", "uilog-check", "uilog-status"])
def test_man_shows_the_pages(page: str) -> None:
    man = need("man")
    file = share() / "man/man1" / f"{page}.1"
    done = subprocess.run(
        [man, "--warnings", "-l", str(file)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LANG": "C"},
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for head in ("NAME", "SYNOPSIS", "EXAMPLES", "FILES"):
        assert head in done.stdout.splitlines()
