"""`uilog report`: the page for a browser as a parser sees it, and the archive
for support."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import html5lib
import processes
import pytest
import report_records
from test_own_files import CORPUS, MARK, plain
from tools.common import MAIN_HG, venv_of

UILOG = venv_of(MAIN_HG) / "bin" / "uilog"
MAX_PAGE_BYTES = 2 << 20

# What loads something, or runs something, where it stands.
LOADING = {"src", "srcset", "data", "poster", "background", "action", "style"}
# Pieces of a secret that are looked for.
PIECE = 8


class Place:
    """A home directory of somebody who runs uilog alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = path / "records.jsonl"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "HGRCPATH": str(path / "hgrc"),
            "XDG_STATE_HOME": str(path / "state"),
            "TZ": "UTC0",
        }

    def report(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(UILOG), "report", *arguments, str(self.records)],
            env=self.env,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=processes.DEADLINE,
        )
        text = (done.stdout + done.stderr).decode()
        assert done.returncode == code, text
        return text

    def page(self) -> str:
        path = self.path / "report.html"
        self.report("--html", str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return path.read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def parsed(page: str) -> ElementTree.Element:
    """The page's elements; fails if anything in it is no valid HTML."""
    parser = html5lib.HTMLParser(
        strict=True,
        tree=html5lib.getTreeBuilder("etree"),
        namespaceHTMLElements=False,
    )
    root: ElementTree.Element = parser.parse(page)
    return root


def tag(element: ElementTree.Element) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def texts(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def assert_harmless(root: ElementTree.Element) -> None:
    """Nothing loads, and nothing runs but our script."""
    names = [tag(it) for it in root.iter()]
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "link", "object", "form", "base"} & set(names)
    for element in root.iter():
        for name, value in element.attrib.items():
            plain_name = name.rsplit("}", 1)[-1]
            assert plain_name not in LOADING
            assert not plain_name.startswith("on")
            assert plain_name != "href" or value.startswith("#")
    policies = [
        it.get("content", "")
        for it in root.iter("meta")
        if it.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    assert "unsafe" not in policies[0]


def test_the_page_is_valid_and_accessible(place: Place) -> None:
    place.records.write_bytes(report_records.lines(report_records.usual(2000)))
    before = json.loads(place.report("-T", "json"))
    root = parsed(place.page())
    assert_harmless(root)
    assert root.get("lang") == "en"
    names = [tag(it) for it in root.iter()]
    for landmark in ("header", "nav", "main", "footer", "h1", "title"):
        assert names.count(landmark) >= 1, landmark
    ids = [it.get("id") for it in root.iter() if it.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        for name in ("aria-labelledby", "for"):
            for target in element.get(name, "").split():
                assert target in ids
        if tag(element) == "a":
            assert element.get("href", "")[1:] in ids
    pictures = [it for it in root.iter() if tag(it) == "svg"]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.get("role") == "img"
        assert any(tag(it) == "desc" and texts(it) for it in picture)
    tables = list(root.iter("table"))
    assert len(tables) >= 12
    for table in tables:
        caption = table.find("caption")
        assert caption is not None and texts(caption)
        heads = table.findall("thead/tr/th")
        assert heads and all(it.get("scope") == "col" for it in heads)
        for row in table.iterfind("tbody/tr"):
            assert row[0].tag == "th"
            assert row[0].get("scope") == "row"
    # The figures are those of the text.
    after = json.loads(place.report("-T", "json"))
    figures = {texts(it[0]): texts(it[1]) for it in root.iterfind(".//dl/div")}
    # The usual time ends now, so a later report may have a record less.
    most, least = (it["overview"]["commands"] for it in (before, after))
    assert least <= int(figures["commands"]) <= most
    changed = [it["command"] for it in after["changes"]]
    assert changed == ["pull"]


def test_what_strangers_wrote_is_text(place: Place) -> None:
    nasty = report_records.NASTY
    place.records.write_bytes(
        report_records.lines(report_records.strange(nasty))
        # No UTF-8, and no record.
        + b'{"schema":1,"id":"x\xff","event":"commandfinish"}\n'
    )
    page = place.page()
    root = parsed(page)
    assert_harmless(root)
    shown = texts(root)
    assert nasty[0] in shown
    assert nasty[2] in shown
    assert nasty[3] in shown
    assert "\\u{1b}[31m" in shown
    assert "\\u{202e}right" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
    # On a terminal as well.
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", place.report())


def test_a_page_is_bounded(place: Place) -> None:
    long = [f"{number} " + "&\x1b<é" * 100 for number in range(130)]
    place.records.write_bytes(
        report_records.lines(report_records.strange(long))
    )
    page = place.page()
    assert len(page.encode()) <= MAX_PAGE_BYTES
    root = parsed(page)
    for table in root.iter("table"):
        assert len(table.findall("tbody/tr")) <= 100


def test_a_file_of_somebody_else_is_not_replaced(place: Place) -> None:
    place.records.write_bytes(b"")
    (place.path / "link").symlink_to("records.jsonl")
    text = place.report("--html", "link", code=1)
    assert "cannot write link" in text
    assert place.records.read_bytes() == b""
    assert (place.path / "link").is_symlink()
    names = {it.name for it in place.path.iterdir()}
    assert names == {"link", "records.jsonl"}


# The archive for support


def contents(path: Path) -> dict[str, bytes]:
    """The files of an archive."""
    found = {}
    with tarfile.open(
        fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))
    ) as it:
        for member in it:
            assert member.isfile()
            assert (member.uid, member.gid) == (0, 0)
            assert (member.uname, member.gname) == ("", "")
            file = it.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


def plant(place: Place, all_texts: Iterable[bytes]) -> None:
    """Puts texts wherever an archive might take them from."""
    known = [it.strip() for it in all_texts]
    lines = [it for it in known if it and not re.search(rb"[\0\r\n]", it)]
    hgrc = [
        b"[extensions]\nuilog =\n[uilog]\nhistory = yes\nsink.a = otlp:http://c/",
        b"sink.b = file:" + str(place.path).encode() + b"/%s.jsonl",
    ]
    for number, text in enumerate(lines):
        section = (b"alias", b"paths", b"auth", b"hooks", b"mine")[number % 5]
        hgrc.append(b"[%s]\nx%d = %s" % (section, number, text))
    for number, text in enumerate(lines[::40]):
        hgrc.append(b"[uilog]\nsink.s%d = %s" % (number, text))
        hgrc.append(b"sink.a:header%d = %s" % (number, text))
        hgrc.append(b"unknown%d = %s" % (number, text))
    settings = ("queue-dir", "max-scripts", "agent", "script-timeout")
    for setting, text in zip(settings, lines[::1000]):
        hgrc.append(b"%s = %s" % (setting.encode(), text))
    for number, text in enumerate(lines[::400]):
        hgrc.append(b"[logtoprocess]\nmine%d = true %s" % (number, text))
    (place.path / "hgrc").write_bytes(b"\n".join(hgrc) + b"\n")
    for number, text in enumerate(lines[::20]):
        place.env[f"VARIABLE{number}"] = os.fsdecode(text)
    names = ("OTEL_EXPORTER_OTLP_HEADERS", "HGUSER", "HGENCODING", "CI")
    for name, value in zip(names, lines[::900]):
        place.env[name] = os.fsdecode(value)
    decoded = [it.decode(errors="replace") for it in known]
    # Fifty commands are taken: of one text each, and of many.
    joined = ["\n".join(decoded[at::40]) for at in range(40)]
    records = [
        *report_records.strange(decoded[:: len(decoded) // 30]),
        *report_records.strange(joined),
    ]
    commands = [it for it in records if it["event"] == "commandfinish"][-50:]
    for it, line in zip(commands, decoded[::7]):
        it["process"]["command_line"] = line
    place.records.write_bytes(report_records.lines(iter(commands)))
    state = place.path / "state" / "uilog"
    state.mkdir(parents=True, exist_ok=True)
    failures = [
        {
            "time": "2026-11-30T10:00:00+00:00",
            "session": text,
            "event": text,
            "kind": "failed",
            "lost": 1,
            "detail": text,
        }
        for text in decoded[::60]
    ]
    journal = state / "failures.jsonl"
    journal.write_text("".join(json.dumps(it) + "\n" for it in failures))
    journal.chmod(0o600)


def archive(place: Place) -> bytes:
    place.report("--for-support", "a.tar.gz", "--yes")
    path = place.path / "a.tar.gz"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = contents(path)
    path.unlink()
    assert sorted(files) == [
        f"uilog-support/{name}.json"
        for name in ("commands", "config", "findings", "losses", "versions")
    ]
    parts = []
    for text in files.values():
        parts += [text, repr(json.loads(text)).encode()]
    return b"\n".join(parts)


def pieces(text: bytes) -> set[bytes]:
    return {text[at : at + PIECE] for at in range(len(text) - PIECE + 1)}


def test_no_secret_is_in_an_archive_for_support(place: Place) -> None:
    secrets: set[bytes] = set()
    full, around = [], []
    for line in CORPUS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        text = line.replace("{+}", "").split("\t", 1)[1]
        secrets.update(plain(it) for it in MARK.findall(text))
        full.append(plain(MARK.sub(lambda it: it[1], text)))
        around.append(plain(MARK.sub(" ", text)))
    assert len(secrets) > 1000
    plant(place, full)
    found = archive(place)
    assert b"commandfinish" in found
    assert b'"sinks"' in found
    # What is there without the secrets as well is none of them.
    plant(place, around)
    harmless = archive(place)
    usual = pieces(harmless)
    in_archive = pieces(found)
    leaks = [
        it
        for it in secrets
        if (len(it) >= PIECE and pieces(it) & in_archive - usual)
        or (4 <= len(it) < PIECE and it in found and it not in harmless)
    ]
    assert not leaks


def test_an_archive_tells_what_support_asks(place: Place) -> None:
    place.records.write_bytes(report_records.lines(report_records.usual(500)))
    (place.path / "hgrc").write_text(
        "[extensions]\nuilog =\n[uilog]\nagent = yes\nscript-timeout = much\n"
        "sink.a = otlp:http://collector.example:4318\nsink.a:timeout = 7\n"
        "[ui]\nusername = Alice\n"
    )
    text = place.report("--for-support", "a.tar.gz", "--yes")
    files = {
        name.removeprefix("uilog-support/"): json.loads(content)
        for name, content in contents(place.path / "a.tar.gz").items()
    }
    config = files["config.json"]
    assert config["settings"]["uilog.agent"] == "yes"
    assert config["settings"]["uilog.script-timeout"] == "<4 bytes, not valid>"
    assert config["sinks"][0]["kind"] == "otlp"
    assert config["sinks"][0]["options"] == {"timeout": "7"}
    assert config["items_by_section"]["ui"] == 1
    assert "value-nonsense" in {it["code"] for it in files["findings.json"]}
    commands = files["commands.json"]
    assert len(commands) == 50
    assert {it["command"] for it in commands} <= set(report_records.COMMANDS)
    assert files["versions.json"]["uilog"]
    whole = json.dumps(files)
    for word in ("Alice", "collector.example", "/src/", "host-1", "user-1"):
        assert word not in whole
    # All of it has been shown.
    for name in files:
        assert name in text
    assert '"uilog.agent": "yes"' in text


def answered(place: Place, answer: bytes) -> tuple[int, str]:
    """Runs the command in a terminal, where somebody answers."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [str(UILOG), "report", "--for-support", "a.tar.gz", str(place.records)],
        env={**place.env, "TERM": "dumb"},
        cwd=place.path,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    os.write(leader, answer)
    shown = b""
    # EIO is the end of what a terminal shows.
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(leader)
    return process.wait(processes.DEADLINE), shown.decode(errors="replace")


def test_an_archive_is_written_only_after_a_yes(place: Place) -> None:
    place.records.write_bytes(b"")
    path = place.path / "a.tar.gz"
    text = place.report("--for-support", "a.tar.gz", code=1)
    assert "there is no terminal" in text
    for answer in (b"\n", b"n\n", b"nyes\n"):
        code, shown = answered(place, answer)
        assert code == 1
        assert "Write this to a.tar.gz? [y/N]" in shown
        assert "nothing has been written" in shown
        assert "config.json" in shown
        assert not path.exists()
    assert answered(place, b"y\n")[0] == 0
    before = path.read_bytes()
    # Nor is one overwritten.
    text = place.report("--for-support", "a.tar.gz", "--yes", code=1)
    assert "is there already" in text
    assert path.read_bytes() == before
