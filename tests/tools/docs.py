"""Reads the documentation: its pages, their examples, headings and links, and
the commands of an example.

Must not know what is checked of them.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tools.common import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "tests" / "README.md",
    ]
)

# The languages of examples that are for a shell.
SHELL = ("sh", "bash")
# What ends a simple command.
SEPARATORS = frozenset(";&|()\n")
# The keys of a CI system's file whose values are for a shell.
SCRIPT_KEYS = frozenset({"run", "script", "before_script", "after_script"})


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Example(NamedTuple):
    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def fences(name: str, text: str) -> Iterator[Example]:
    """The fenced blocks of a page, those of list items as well."""
    begin, indent, language = 0, "", ""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"( *)```(\S*) *$", line)
        if begin and fence and not fence[2]:
            yield Example(name, begin, language, "".join(lines))
            begin = 0
        elif begin:
            assert line.startswith(indent) or not line, f"{name}:{number}"
            lines.append(line[len(indent) :] + "\n")
        elif fence:
            begin, indent, language, lines = number, fence[1], fence[2], []
    assert not begin, f"{name}:{begin}: the example has no end"


def blocks(*languages: str) -> Iterator[Example]:
    """All examples in these languages, of all pages."""
    for page in PAGES:
        for example in fences(name_of(page), page.read_text()):
            if example.language in languages:
                yield example


def without_fences(text: str) -> str:
    """A page without its fenced blocks, whose lines are left empty."""
    return re.sub(
        r"^ *```.*?^ *``` *$",
        lambda match: "\n" * match[0].count("\n"),
        text,
        flags=re.DOTALL | re.MULTILINE,
    )


CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def without_code(text: str) -> str:
    return CODE.sub("", without_fences(text))


def inline_code(page: Path) -> Iterator[Example]:
    """What stands between backticks, on one line."""
    text = without_fences(page.read_text())
    for match in CODE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        code = " ".join(match[2].split())
        yield Example(name_of(page), line, "", code)


def headings(page: Path) -> list[str]:
    return re.findall(
        r"^#+ +(.+?) *$", without_fences(page.read_text()), flags=re.MULTILINE
    )


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`; GitHub and mdBook make the same of a
    heading."""
    counts: Counter[str] = Counter()
    anchors = set()
    for heading in headings(page):
        # Of a link, only its text counts.
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.add(f"{name}-{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return anchors


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))


def simple_commands(script: str) -> list[list[str]]:
    """The words of each simple command, without comments, redirections'
    operators, and assignments in front. It knows as much of the shell's grammar
    as the documentation uses; `bash -n` knows the rest."""
    script = re.sub(r"\\\n", " ", script)
    # What is quoted is no comment, and a comment's quotes quote nothing.
    script = re.sub(
        r"""('[^']*'|"[^"]*"|\\.)|(?<!\S)#.*""",
        lambda match: match[1] or "",
        script,
    )
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|<>()\n")
    lexer.commenters = ""
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word and set(word) <= SEPARATORS:
            commands.append([])
        elif commands[-1] or not re.match(r"\w+=", word):
            commands[-1].append(word)
    return [command for command in commands if command]


def scripts_of_yaml(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in SCRIPT_KEYS:
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from scripts_of_yaml(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts_of_yaml(inner)


def console_steps(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console's transcript, each with what it prints."""
    steps: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif steps and line.strip():
            steps[-1][1].append(line)
    return steps


def shell_examples() -> Iterator[Example]:
    """All that is for a shell: of examples, transcripts and CI systems."""
    yield from blocks(*SHELL)
    for example in blocks("console"):
        for command, _output in console_steps(example.text):
            yield example._replace(text=command + "\n")
    for example in blocks("yaml"):
        for script in scripts_of_yaml(yaml.safe_load(example.text)):
            yield example._replace(text=script + "\n")
    for example in blocks("groovy"):
        for script in re.findall(r"\bsh '([^']*)'", example.text):
            yield example._replace(text=script + "\n")


def usage_words(usage: str) -> str:
    """A command that a synopsis stands for: with each optional part, and with
    the first of several choices."""
    usage = usage.replace("[OPTIONS]", "").replace("...", "")
    usage = re.sub(r"(?<=[\w-])\|[\w|-]+", "", usage)
    return re.sub(r"(?<!\S)\[([^]]*)\]", r"\1", usage)


def commands_of(
    programs: Sequence[str],
) -> Iterator[tuple[Example, list[str]]]:
    """Each command of one of these programs, in examples and in the text."""
    for example in shell_examples():
        for words in simple_commands(example.text):
            if words[0].rpartition("/")[2] in programs:
                yield example, words
    for page in PAGES:
        for code in inline_code(page):
            if not re.match(rf"(?:{'|'.join(programs)}) [^=]", code.text):
                continue
            for words in simple_commands(usage_words(code.text)):
                if words[0] in programs:
                    yield code, words
