"""No secret is in uilog's own files and output: the journal, the spool, the
output of its commands. Tested with those secrets of the corpus that are
recognized in any context."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import processes
from conftest import Home

CORPUS = (
    Path(__file__).parent.parent / "rust/uilog-redact/tests/corpus/secrets.txt"
)
MARK = re.compile(r"⟦[a-z-]+:(.*?)⟧", re.DOTALL)
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
# What is shorter may well stand elsewhere.
MIN_LENGTH = 8
# Texts that are taken, at most, from all of the corpus. Each of them is
# redacted in the tests of uilog-redact and of uilog-sinks.
MAX_TEXTS = 1800
# Texts that are scripts of an hgrc, at most.
MAX_SCRIPTS = 60
# Bytes of standard error that the journal keeps.
TAIL = 3500

EXTENSION = """
from mercurial import registrar
cmdtable = {}
command = registrar.command(cmdtable)

@command(b'tell', [], norepo=True)
def tell(ui, number):
    with open('texts', 'rb') as file:
        for text in file.read().split(b'\\0'):
            ui.log(b'mine', b'%s', text, detail=text)
    for count in range(int(number)):
        ui.log(b'failing', b'%d', count)
"""


def plain(text: str) -> bytes:
    """The text without its escapes."""
    known = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}

    def one(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if len(code) > 1:
            return bytes([int(code[1:], 16)])
        return known.get(code, code)

    return ESCAPE.sub(one, text.encode())


def corpus() -> tuple[list[bytes], set[bytes]]:
    """Texts that are no command's, and their secrets."""
    texts: list[bytes] = []
    around: list[bytes] = []
    secrets: set[bytes] = set()
    lines = [
        line
        for line in CORPUS.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    for line in lines[:: 1 + len(lines) // MAX_TEXTS]:
        event, text = line.replace("{+}", "").split("\t", 1)
        around.append(plain(MARK.sub(" ", text)))
        if event != "text":
            continue
        secrets.update(plain(it) for it in MARK.findall(text))
        texts.append(plain(MARK.sub(lambda it: it[1], text)))
    rest = b" ".join(around)
    telling = {it for it in secrets if len(it) >= MIN_LENGTH and it not in rest}
    return [it for it in texts if b"\0" not in it], telling


def failing(home: Home, texts: list[bytes]) -> int:
    """Writes what scripts are to write to standard error; how many do."""
    parts, part = [], b""
    for text in texts:
        if part and len(part) + len(text) > TAIL:
            parts.append(part)
            part = b""
        part += text.rstrip(b"\n") + b"\n\n"
    parts.append(part)
    for number, part in enumerate(parts):
        (home.path / f"part{number}").write_bytes(part)
    return len(parts)


def outputs(home: Home, *commands: str) -> dict[str, bytes]:
    found = {}
    for command in commands:
        done = subprocess.run(
            command.split(),
            env=home.env,
            cwd=home.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=processes.DEADLINE,
        )
        found[command] = done.stdout + done.stderr
    return found


def test_no_secret_is_in_files_of_our_own(home: Home) -> None:
    texts, secrets = corpus()
    assert len(secrets) > 20
    (home.path / "texts").write_bytes(b"\0".join(texts))
    count = failing(home, texts)
    # Texts that the shell can read as they are.
    quiet = [
        it.decode()
        for it in texts
        if it.isascii() and b"\n" not in it.strip() and b"\r" not in it
    ]
    # A check asks a shell about each script.
    quiet = quiet[:: 1 + len(quiet) // MAX_SCRIPTS]
    scripts = "".join(
        f"never{number} = true {text.strip()}\n"
        for number, text in enumerate(quiet)
    )
    home.configure(
        "[logtoprocess]\n"
        'failing = cat "$HOME/part$MSG1" >&2; exit 1\n'
        f"{scripts}"
        "[uilog]\nmax-scripts = 2\n"
        f"sink.here = file:{home.path}/here.jsonl\n"
        # Nobody listens there: what is sent waits.
        "sink.there = otlp:http://127.0.0.1:9\n"
        "sink.there:argv = redacted\n"
    )
    home.extension("tells", EXTENSION)
    home.hg("--debug", "tell", str(count))
    processes.wait_until_gone(str(home.path))
    # What is older is in a file of its own.
    journal = (home.path / ".local/state/uilog").glob("failures.jsonl*")
    failures = [
        json.loads(line)
        for path in journal
        if not path.name.endswith(".lock")
        for line in path.read_text().splitlines()
    ]
    written = [it for it in failures if it.get("script", {}).get("stderr")]
    assert len(written) == count
    assert (home.path / "here.jsonl").stat().st_size > 10_000
    shown = outputs(
        home,
        "uilog status",
        "uilog status -T json",
        "uilog journal",
        "uilog check",
        "uilog check -T json",
        "uilog spool",
        "uilog spool -T json",
        "uilog spool export",
        "hg debuguilog",
        "hg --debug version -q",
    )
    for path in (home.path / ".local").rglob("*"):
        if path.is_file():
            shown[str(path)] = path.read_bytes()
    shown["here.jsonl"] = (home.path / "here.jsonl").read_bytes()
    leaks = {
        name: [secret for secret in secrets if secret in text]
        for name, text in shown.items()
    }
    assert {name: it for name, it in leaks.items() if it} == {}
    # They had something to show.
    for name, text in shown.items():
        if name.startswith(("uilog check", "hg debuguilog", "here")):
            assert b"<redacted:" in text, name
