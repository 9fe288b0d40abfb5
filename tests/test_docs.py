"""The documentation agrees with itself and with the table of settings: links
lead somewhere, each setting is documented with its default, and each example of
an hgrc can be read without a finding.

What the text claims of uilog's behaviour is for other tests.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from conftest import Home
from tools.common import MAIN_HG, ROOT, venv_of
from tools.docs import (
    PAGES,
    Example,
    anchors,
    blocks,
    fences,
    headings,
    links,
    name_of,
)

UILOG = venv_of(MAIN_HG) / "bin" / "uilog"
CONFIGURATION = ROOT / "docs" / "configuration.md"
ITEMS = ROOT / "rust" / "uilog-config" / "items.toml"
EXTENSION = ROOT / "hgext" / "uilog" / "__init__.py"
HELP = ROOT / "hgext" / "uilog" / "helptexts.py"
README = ROOT / "README.md"

# Findings that say that an example is no valid hgrc.
INVALID = {
    "event-unknown",
    "file-broken",
    "item-unknown",
    "script-syntax",
    "section-unknown",
    "sink-option",
    "sink-setting",
    "sink-url",
    "sub-option",
    "value-nonsense",
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (fragment and fragment not in anchors(to)):
            lost.append(target)
    assert not lost


SOURCES = sorted(
    [
        *PAGES,
        *(ROOT / "hgext").rglob("*.py"),
        *(ROOT / "rust").glob("*/src/**/*.rs"),
    ]
)


def test_pages_that_are_named_exist() -> None:
    # What a string of Rust's goes on with in the next line, belongs to it.
    continued = re.compile(r"\\\n *")
    lost = {
        f"{name_of(source)}: {name}"
        for source in SOURCES
        for name in re.findall(
            r"(?<![\w/.])docs/[\w-]+\.md",
            continued.sub("", source.read_text()),
        )
        if not (ROOT / name).exists()
    }
    assert not lost


def test_files_that_newcomers_are_sent_to_exist() -> None:
    """CONTRIBUTING.md names files without their crates, which may change."""
    page = ROOT / "CONTRIBUTING.md"
    names = set(
        re.findall(r"`([\w./-]+\.(?:rs|py|toml|txt|t|json))`", page.read_text())
    )
    assert len(names) > 30
    # Made by those who follow a recipe.
    names -= {"discard.rs", "tests/requirements/hg-7.3.txt"}
    known = [
        f"/{path.relative_to(ROOT)}"
        for part in ("docs", "hgext", "rust", "tests")
        for path in (ROOT / part).rglob("*")
    ]
    lost = {
        name
        for name in names
        if not any(path.endswith(f"/{name}") for path in known)
    }
    assert not lost


def test_sections_that_are_named_exist() -> None:
    """As in: docs/otlp.md, "TLS"."""
    pattern = re.compile(
        r'\bdocs/(?P<page>[\w-]+\.md)\)?`?,?\s+\(?"(?P<section>[^"]+)"'
    )
    found = [
        (source, match)
        for source in PAGES
        for match in pattern.finditer(source.read_text())
    ]
    assert found
    lost = [
        f"{name_of(source)}: {match[0]}"
        for source, match in found
        if not any(
            heading.partition(":")[0] == " ".join(match["section"].split())
            for heading in headings(ROOT / "docs" / match["page"])
        )
    ]
    assert not lost


class Item(NamedTuple):
    section: str
    name: str
    defaults: tuple[str, ...]


def items() -> Iterator[Item]:
    """Those of items.toml; a Python of before 3.11 has no reader for it."""
    for block in ITEMS.read_text().split("\n[[")[1:]:
        kind, _, body = block.partition("]]")
        if kind == "pattern":
            # Users make up the names of these settings.
            continue
        fields = dict(
            re.findall(r'^([a-z-]+) = "(.*)"$', body, flags=re.MULTILINE)
        )
        yield Item(
            fields.get("section", "sink") if kind == "item" else "sink",
            fields["name"],
            tuple(
                fields[key]
                for key in ("default", "remote-default")
                if key in fields
            ),
        )


def documented() -> Iterator[tuple[str, str, str]]:
    """Section, name and default of each setting in a table of
    docs/configuration.md; options of sinks have the section `sink`."""
    section, is_table = "", False
    for line in CONFIGURATION.read_text().splitlines():
        heading = re.match(r"##+ (.*)", line)
        if heading:
            found = re.match(r"\[(\w+)\]", heading[1])
            section = found[1] if found else "sink"
        if re.match(r"\| (key|option) \| default \|", line):
            is_table = True
            continue
        if not line.startswith("|"):
            is_table = False
        if not is_table or line.startswith("|---"):
            continue
        names, default = (cell.strip() for cell in line.split("|")[1:3])
        for name in re.findall(r"`([^`]+)`", names):
            if name.startswith(":"):
                yield "sink", name[1:], default
            elif name.startswith("uilog."):
                yield "uilog", name[len("uilog.") :], default
            elif name == "redact-config":
                yield "uilog", name, default
            else:
                yield section, name, default


def test_each_setting_is_documented_with_its_default() -> None:
    known = {(it.section, it.name): it.defaults for it in items()}
    assert len(known) > 40
    told: dict[tuple[str, str], list[str]] = {}
    for section, name, default in documented():
        if section != "logtoprocess":
            told.setdefault((section, name), []).append(default)
    assert set(told) == set(known)
    wrong = [
        (key, default)
        for key, defaults in told.items()
        for default in defaults
        if any(known[key])
        and not set(known[key]) & set(re.findall(r"`([^`]*)`", default))
    ]
    assert not wrong


SCHEMA_TYPES = {
    "text": "string",
    "integer": "integer",
    "number": "number",
    "float": "number",
    "boolean": "boolean",
    "null": "null",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line[1:].rstrip("|").split("|")]


def schema_types(cell: str, name: str) -> set[str]:
    """The types in a cell such as "text, `holder_pid` integer"."""
    own = re.search(rf"`{name}` (\w+)", cell)
    words = [own[1]] if own else re.findall(r"\w+", re.sub(r"`.*", "", cell))
    return {SCHEMA_TYPES[it] for it in words if it in SCHEMA_TYPES}


def told_options() -> dict[tuple[str, str], set[str]]:
    """Event, option and types of each in a table of docs/schema.md that has
    options of uilog's."""
    found: dict[tuple[str, str], set[str]] = {}
    head: list[str] = []
    for line in (ROOT / "docs" / "schema.md").read_text().splitlines():
        if line.startswith("| option of "):
            head = cells(line)
            assert head[-1] == "source in hg", line
        elif not line.startswith("|"):
            head = []
        elif head and not line.startswith("|---"):
            row = cells(line)
            events = re.findall(r"`(\w+)`", head[0])
            if "event" in head:
                of = re.findall(r"`(\w+)`", row[head.index("event")])
                events = [it for it in events if it in of] or events
            for name in re.findall(r"`(\w+)`", row[0]):
                for event in events:
                    found[event, name] = schema_types(row[1], name)
    return found


def test_each_option_is_documented_with_its_type() -> None:
    told = told_options()
    assert len(told) > 100 and all(told.values())
    schema = json.loads((ROOT / "docs" / "schema-v1.json").read_text())
    typed = {}
    for rule in schema["allOf"]:
        event = rule["if"]["properties"]["event"]["const"]
        options = rule["then"]["properties"]["options"]["properties"]
        for name, is_told in options.items():
            types = is_told["type"]
            typed[event, name] = set([types] if type(types) is str else types)
    assert typed == told
    text = help_of_hg()
    named = {it for event, name in told for it in (event, name)}
    assert not {it for it in named if f"``{it}``" not in text}


def help_of_hg() -> str:
    """All that `hg help uilog` and its sub-topics show."""
    text = ast.get_docstring(ast.parse(EXTENSION.read_text()))
    assert text is not None
    texts = ast.literal_eval(HELP.read_text().rpartition("TEXTS = ")[2])
    return "\n\n".join([text, *(it for _, _, it in texts)])


def test_pages_that_help_names_are_installed() -> None:
    """`uilog help --path` prints the directory."""
    wanted = (ROOT / "pyproject.toml").read_text()
    assert '"share/doc/uilog" = ["docs/*.md"' in wanted


def masked(text: str) -> str:
    """What is the same each time: no numbers, no bars, no padding."""
    text = re.sub(r"[0-9a-f]{32}|\d+", "N", text)
    return re.sub(r"[ █▌▐]+", " ", text)


def test_the_first_screen_is_real(home: Home) -> None:
    """Each command of README.md's first example prints what is shown."""
    examples = list(fences(name_of(README), README.read_text()))
    hgrc = next(it for it in examples if it.language == "ini")
    console = next(it for it in examples if it.language == "console")
    home.hgrc.write_text(hgrc.text)
    steps = re.split(r"^\$ ", console.text, flags=re.MULTILINE)[1:]
    assert len(steps) > 4
    script = "exec 2>&1\n"
    for number, step in enumerate(steps):
        command = step.split("\n")[0].partition("  #")[0]
        if command.startswith("uilog"):
            script += "uilog flush >/dev/null\n"
        script += f"{command}\necho '<{number}>'\n"
    done = subprocess.run(
        ["sh", "-c", script],
        env={**home.env, "LC_ALL": "C.UTF-8", "COLUMNS": "120"},
        cwd=home.path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = re.split(r"<\d+>\n", done.stdout)
    # What comes after the last one, too.
    assert len(printed) == len(steps) + 1, done.stdout
    for step, output in zip(steps, printed):
        shown = step.partition("\n")[2].strip("\n")
        assert masked(shown) == masked(output.strip("\n")), step


def test_the_demonstration_works(home: Home) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "tests" / "demo.sh")],
        env={**home.env, "DEMO_RUNS": "1"},
        cwd=home.path,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in (
        "EVENT=commandfinish",
        "pretxncommit.no-tabs hook exited with status 1",
        "hook pretxncommit.no-tabs",
        "What fails, and why",
        "0 events lost, 0 failures",
    ):
        assert shown in done.stdout, done.stdout
    for kind in ("no logging", "stock logtoprocess", "uilog"):
        assert re.search(rf"{kind} +[\d.]+ ms", done.stdout), done.stdout


def examples() -> Iterator[Example]:
    """All examples of hgrc files."""
    yield from blocks("ini")
    text = help_of_hg()
    for match in re.finditer(r"::\n\n((?:  .*\n|\n)+)", text):
        yield Example(
            name_of(EXTENSION),
            text.count("\n", 0, match.start()) + 1,
            "ini",
            textwrap.dedent(match[1]),
        )


def test_each_example_in_yaml_can_be_read() -> None:
    found = list(blocks("yaml"))
    assert len(found) > 3
    for example in found:
        assert isinstance(yaml.safe_load(example.text), dict), example


def test_each_example_is_a_valid_hgrc(tmp_path: Path) -> None:
    found = list(examples())
    assert len(found) > 20
    wrong = []
    for number, example in enumerate(found):
        hgrc = tmp_path / f"{number}.rc"
        hgrc.write_text(example.text)
        done = subprocess.run(
            [UILOG, "check", "-T", "json"],
            check=False,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HGRCPATH": str(hgrc),
                "XDG_RUNTIME_DIR": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode not in (0, 1):
            wrong.append(f"{example.where}: {done.stderr}")
            continue
        wrong += [
            f"{example.where}: {finding['text']}"
            for finding in json.loads(done.stdout)["findings"]
            if finding["code"] in INVALID
        ]
    assert not wrong
