"""The commands, settings, variables and tests that the documentation names
exist: each shell example is parsed, its commands of uilog, hg, make and cargo
have the options that it uses.

That each example of an hgrc is valid, and what the README's session prints, is
shown by test_docs.py, and what the commands of docs/questions.md print by
rust/uilog-cli/tests/questions.rs.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from run import parse_args
from tools.common import MAIN_HG, ROOT, TESTS, venv_of
from tools.docs import (
    PAGES,
    Example,
    blocks,
    commands_of,
    fences,
    inline_code,
    name_of,
    shell_examples,
    simple_commands,
    usage_words,
)

VENV = venv_of(MAIN_HG)
UILOG = VENV / "bin" / "uilog"
HELPERS = TESTS / "helpers"
MAKEFILE = (ROOT / "Makefile").read_text()
# What has the names of a placeholder stands for any word.
PLACEHOLDER = re.compile(r"[A-Z]{3,}$")


def home_environ(home: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HGRCPATH": "",
        "XDG_RUNTIME_DIR": str(home),
        **more,
    }


def test_each_example_names_its_language() -> None:
    unnamed = [
        example.where
        for page in PAGES
        for example in fences(name_of(page), page.read_text())
        if not example.language
    ]
    assert not unnamed


def test_a_shell_can_parse_each_example() -> None:
    found = list(shell_examples())
    assert len(found) > 40
    wrong = []
    for example in found:
        done = subprocess.run(
            ["bash", "-n"],
            check=False,
            input=example.text,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode or done.stderr:
            wrong.append(f"{example.where}: {done.stderr}")
    assert not wrong


def distinct(
    found: Iterator[tuple[Example, list[str]]],
) -> list[tuple[Example, list[str]]]:
    """Each command once: every example is a process."""
    return list({tuple(it[1]): it for it in found}.values())


def test_what_a_command_is_made_of_is_seen() -> None:
    script = (
        "# not a command\n"
        "A=1 hg id | jq -c '[.a, \"b; c\"]'   # nor this, it isn't\n"
        "hg log \\\n  -r 'a # b' && cd \"$(x)\"\n"
    )
    assert simple_commands(script) == [
        ["hg", "id"],
        ["jq", "-c", '[.a, "b; c"]'],
        ["hg", "log", "-r", "a # b"],
        ["cd", "$(x)"],
    ]
    synopsis = "uilog x [FILE]... [-T json] [--color auto|never] [OPTIONS] -- C"
    words = ["uilog", "x", "FILE", "-T", "json", "--color", "auto", "--", "C"]
    assert simple_commands(usage_words(synopsis)) == [words]


def uilog_complaint(words: Sequence[str], home: Path) -> str | None:
    """Why uilog does not take these arguments. `--help` makes it parse them and
    do nothing else, but for values that are missing, and what is behind `--`
    or is a program's."""
    at = words.index("--") if "--" in words else len(words)
    done = subprocess.run(
        [UILOG, *words[:at], "--help", *words[at:]],
        check=False,
        cwd=home,
        # If it would run a program, there is none.
        env=home_environ(home, PATH=str(home)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "a value is required" in done.stderr:
        return None
    program = next((it for it in words[1:] if not it.startswith("-")), None)
    if words[0] == "run" and f"cannot run '{program}'" in done.stderr:
        return None
    return done.stderr if done.returncode or done.stderr else None


def test_uilog_has_the_commands_and_options_of_each_example(
    tmp_path: Path,
) -> None:
    found = distinct(commands_of(["uilog"]))
    assert len(found) > 60
    wrong = []
    for example, (_uilog, *words) in found:
        if not words or PLACEHOLDER.match(words[0]):
            continue
        why = uilog_complaint(words, tmp_path)
        if why is not None:
            wrong.append(f"{example.where}: uilog {' '.join(words)}: {why}")
    assert not wrong


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["log", "--nonsense"],
        ["log", "-n", "nonsense"],
        ["spool", "nonsense"],
        ["flush", "--wait", "nonsense"],
    ],
)
def test_what_uilog_does_not_take_is_seen(
    words: list[str], tmp_path: Path
) -> None:
    assert uilog_complaint(words, tmp_path) is not None


def hg_complaints(lines: list[list[str]], home: Path) -> list[str | None]:
    done = subprocess.run(
        [VENV / "bin" / "python", HELPERS / "hg_arguments.py"],
        check=False,
        cwd=home,
        env=home_environ(home),
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    complaints: list[str | None] = json.loads(done.stdout)
    return complaints


# Commands of hg that are there only to show what happens without them.
NO_COMMANDS_OF_HG = {"hg c X"}


def test_hg_has_the_commands_and_options_of_each_example(
    tmp_path: Path,
) -> None:
    found = [
        (example, words[1:])
        for example, words in distinct(commands_of(["hg"]))
        if " ".join(words) not in NO_COMMANDS_OF_HG
        and not any(map(PLACEHOLDER.match, words))
    ]
    assert len(found) > 20
    nonsense = [["nonsense"], ["log", "--nonsense"], ["help", "nonsense"]]
    complaints = hg_complaints(
        [*nonsense, *(words for _example, words in found)], tmp_path
    )
    assert all(complaints[:3])
    wrong = [
        f"{example.where}: hg {' '.join(words)}: {why}"
        for (example, words), why in zip(found, complaints[3:])
        # What only names an option leaves its value out.
        if why is not None and "requires argument" not in why
    ]
    assert not wrong


def make_targets() -> set[str]:
    lines = re.findall(r"^([\w -]+):(?!=)", MAKEFILE, flags=re.MULTILINE)
    return {name for line in lines for name in line.split()}


def names_of_tests() -> dict[str, set[str]]:
    """What `-k` may select, by suite."""
    rust = [*(ROOT / "rust").rglob("*.rs")]
    python = [*TESTS.glob("test_*.py")]
    functions = re.compile(r"\b(?:fn|def) (\w+)")
    return {
        "cargo": {
            *(path.stem for path in rust),
            *(
                it
                for path in rust
                for it in functions.findall(path.read_text())
            ),
        },
        "pytest": {
            *(path.stem for path in python),
            *(
                it
                for path in python
                for it in functions.findall(path.read_text())
            ),
        },
        "t": {path.name for path in TESTS.glob("*.t")},
    }


def bench_complaint(lists: list[list[str]]) -> str:
    """What bench/run.py says of arguments that it does not take; it runs in a
    process of its own because its modules are named like others."""
    script = (
        "import json, sys\n"
        "sys.path.insert(0, 'bench')\n"
        "import run\n"
        "for sys.argv[1:] in json.loads(sys.argv[1]):\n"
        "    run.arguments()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(lists)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stderr


def test_make_has_the_targets_and_arguments_of_each_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = distinct(commands_of(["make"]))
    assert len(found) > 20
    targets = make_targets()
    assert {"test", "soak", "lint"} <= targets
    tests = names_of_tests()
    wrong, of_bench = [], []
    for example, (_make, *words) in found:
        named = [word for word in words if "=" not in word]
        lost = [it for it in named if it not in targets]
        args = [
            inner
            for word in words
            if word.startswith("ARGS=")
            for [inner] in [simple_commands(word[len("ARGS=") :])]
        ]
        if lost:
            wrong.append(f"{example.where}: make {lost}")
        elif named[0] == "bench":
            of_bench += args
        elif named[0] in ("test", "test-all", "soak"):
            for inner in args:
                # A recipe adds this version.
                inner = [MAIN_HG if it == "7.1" else it for it in inner]
                try:
                    options = parse_args(inner)
                except SystemExit:
                    wrong.append(f"{example.where}: {capsys.readouterr().err}")
                    continue
                if options.pattern is not None and not any(
                    options.pattern in name
                    for suite in options.only
                    for name in tests.get(suite, ())
                ):
                    wrong.append(f"{example.where}: no test {options.pattern}")
    assert not wrong
    assert of_bench and not bench_complaint(of_bench)
    assert "invalid choice" in bench_complaint([["--only", "nonsense"]])


def test_cargo_has_the_packages_and_targets_of_each_example() -> None:
    found = distinct(commands_of(["cargo"]))
    assert found
    wrong = []
    for example, words in found:
        options = dict(zip(words, words[1:]))
        crate = ROOT / "rust" / options.get("-p", "")
        files = {
            "--test": ["tests/{}.rs", "tests/{}/main.rs"],
            "--example": ["examples/{}.rs", "examples/{}/main.rs"],
        }
        if not crate.is_dir():
            wrong.append(f"{example.where}: no crate {crate.name}")
        for option, places in files.items():
            name = options.get(option)
            if name is not None and not any(
                (crate / place.format(name)).exists() for place in places
            ):
                wrong.append(f"{example.where}: no {option} {name}")
    assert not wrong


def test_the_files_of_each_example_exist() -> None:
    """Those of the tree; most examples have files of their reader's."""
    ours = re.compile(
        r"(?:tests|bench|rust|docs|clickhouse|lnav|grafana)/[\w./-]+\.\w+"
    )
    found = [
        (example, word)
        for example in shell_examples()
        for words in simple_commands(example.text)
        for word in words
        if ours.fullmatch(word)
    ]
    assert len(found) >= 3
    lost = [
        f"{example.where}: {word}"
        for example, word in found
        if not (ROOT / word).exists() and not (ROOT / "share" / word).exists()
    ]
    assert not lost


## Names in the text


def sections_and_sinks() -> tuple[dict[str, str], dict[str, str]]:
    """The section of each item, and a kind of sink that has each option."""
    text = (ROOT / "rust" / "uilog-config" / "items.toml").read_text()
    items, options = {}, {}
    for block in text.split("[[")[1:]:
        fields = dict(
            re.findall(r'^([a-z-]+) = "(.*)"$', block, flags=re.MULTILINE)
        )
        if block.startswith("item]]"):
            items[fields["name"]] = fields["section"]
        else:
            sinks = re.findall(
                r'^sinks = \["([a-z-]+)"', block, flags=re.MULTILINE
            )
            options[fields["name"]] = sinks[0] if sinks else "file"
    assert len(items) > 20 and len(options) > 20
    return items, options


URLS = {
    "file": "file:/tmp/x.jsonl",
    "unix": "unix:/tmp/x.sock",
    "syslog": "syslog:",
    "otlp": "otlp:http://localhost:4318",
}
# These name no setting of uilog's, or show one that is refused.
NO_SETTINGS = {
    "sinks = [...]",  # of items.toml
    ":user = hahs",  # the typing error that a decision is about
    "spool-max-age = 7",  # a time without a unit
    "name = x",  # any
    "x = y",
}
PLACEHOLDERS = {"SECONDS": "1", "URL": "syslog:"}
EXTENSIONS = {"uilog", "blackbox", "logtoprocess"}
SETTING = re.compile(
    r"(?:\[(?P<section>\w+)\] )?(?P<name>:?[a-z][\w.-]*(?::[a-z-]+)?) ="
    r"(?: (?P<value>.*))?"
)


def hgrc_of(code: str) -> str | None:
    """An hgrc with a setting as the text names it: with its section before the
    name or in brackets, or without; of an option of a sink, without the sink.
    None if uilog has no such setting."""
    match = SETTING.fullmatch(code)
    assert match is not None, code
    name, value = match["name"], match["value"] or ""
    items, options = sections_and_sinks()
    section = match["section"]
    prefix, dot, rest = name.partition(".")
    if dot and prefix != "sink" and section is None:
        section, name = prefix, rest
    name = name.removeprefix("uilog.") if section == "uilog" else name
    if name.endswith(":stdin") and section in (None, "logtoprocess"):
        return f"[logtoprocess]\n{name} = {value}\n"
    if name in EXTENSIONS and section in (None, "extensions"):
        return f"[extensions]\n{name} = {value}\n"
    if name.startswith("sink."):
        _sink, _, option = name.partition(":")
        if not option:
            return f"[uilog]\n{name} = {value}\n"
        name = f":{option}"
    option = name.removeprefix(":")
    is_option = name.startswith(":") or option not in items
    if option in options and is_option and section in (None, "uilog"):
        url = URLS[options[option]]
        return f"[uilog]\nsink.x = {url}\nsink.x:{option} = {value}\n"
    if section is None and name in items:
        section = items[name]
    if section is None:
        return None
    if section in ("ui", "extensions") or items.get(name) == section:
        return f"[{section}]\n{name} = {value}\n"
    return None


# Findings that say that there is no such setting, or that it cannot have such
# a value.
NONSENSE = {
    "item-unknown",
    "sink-option",
    "sink-setting",
    "sink-url",
    "value-nonsense",
}


def setting_complaint(hgrc: str, home: Path) -> str | None:
    path = home / "example.rc"
    path.write_text(hgrc)
    done = subprocess.run(
        [UILOG, "check", "-T", "json"],
        check=False,
        cwd=home,
        env=home_environ(home, HGRCPATH=str(path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode not in (0, 1):
        return done.stderr
    found = [
        finding["text"]
        for finding in json.loads(done.stdout)["findings"]
        if finding["code"] in NONSENSE
    ]
    return "; ".join(found) or None


def test_each_setting_in_the_text_exists(tmp_path: Path) -> None:
    found = {
        code.text: code
        for page in PAGES
        for code in inline_code(page)
        if SETTING.fullmatch(code.text) and code.text not in NO_SETTINGS
    }
    assert len(found) > 30
    wrong = []
    for text, code in found.items():
        for placeholder, value in PLACEHOLDERS.items():
            text = re.sub(rf"\b{placeholder}\b", value, text)
        hgrc = hgrc_of(text)
        why = (
            "no such setting"
            if hgrc is None
            else setting_complaint(hgrc, tmp_path)
        )
        if why is not None:
            wrong.append(f"{code.where}: {text}: {why}")
    assert not wrong


def test_a_setting_that_does_not_exist_is_seen(tmp_path: Path) -> None:
    assert hgrc_of("nonsense = yes") is None
    assert hgrc_of("uilog.nonsense = yes") is None
    assert hgrc_of(":nonsense = yes") is None
    for setting in ("agent = nonsense", ":user = nonsense"):
        hgrc = hgrc_of(setting)
        assert hgrc is not None
        assert setting_complaint(hgrc, tmp_path) is not None


def test_each_option_of_a_sink_in_the_text_exists() -> None:
    items, options = sections_and_sinks()
    found = [
        (code, match[1], match[2])
        for page in PAGES
        for code in inline_code(page)
        for match in [
            re.fullmatch(r"(:|uilog\.)([a-z]+(?:-[a-z]+)*)", code.text)
        ]
        if match
    ]
    assert len(found) > 50
    lost = [
        f"{code.where}: {code.text}"
        for code, kind, name in found
        if name not in (options if kind == ":" else items)
        # Of an event, and modules of the extension.
        and code.text not in (":stdin", "uilog.blackbox", "uilog.events")
    ]
    assert not lost


def sources() -> str:
    """All code, and what comes with it."""
    texts = []
    for place in ("hgext", "rust", "tests", "bench", "share"):
        for path in sorted((ROOT / place).rglob("*")):
            if path.suffix in (".py", ".rs", ".t", ".sh", ".toml", ".json"):
                texts.append(path.read_text())
    return "\n".join(texts)


def test_tests_and_variables_that_are_named_exist() -> None:
    text = sources()
    defined = set(re.findall(r"\b(?:fn|def|mod) (\w+)", text))
    words = set(re.findall(r"\bUILOG_\w+", text))
    # Of a name, its parts tell a test from an option or a column.
    test_name = re.compile(r"(?:test_\w+|[a-z]+(?:_[a-z0-9]+){4,})")
    tests, variables = 0, 0
    lost = []
    for page in PAGES:
        for code in inline_code(page):
            for name in re.findall(r"\bUILOG_[A-Z]\w*", code.text):
                variables += 1
                if name not in words:
                    lost.append(f"{code.where}: {name}")
            if test_name.fullmatch(code.text):
                tests += 1
                if code.text not in defined and not re.search(
                    rf'["\'`]{code.text}["\'`]', text
                ):
                    lost.append(f"{code.where}: {code.text}")
    assert tests > 100 and variables > 10
    assert not lost


SOURCES = ("docs", "hgext", "rust", "tests", "bench", "share")


def test_sources_that_are_named_exist() -> None:
    known = [
        f"/{path.relative_to(ROOT)}"
        for part in [*SOURCES, ".cargo"]
        for path in (ROOT / part).rglob("*")
    ]
    # Of Mercurial, which documents say so.
    name = re.compile(r"[\w.-]+(?:/[\w.-]+)+\.(?:rs|py|t|toml|sql|sh)")
    found = [
        code
        for page in PAGES
        for code in inline_code(page)
        if name.fullmatch(code.text)
        and not code.text.startswith(("mercurial/", "hgext/"))
        and not code.text.startswith("tests/requirements/hg-7.1")
        # A user's, in the directory where hg is called.
        and not code.text.startswith("./")
    ]
    assert len(found) > 50
    lost = [
        f"{code.where}: {code.text}"
        for code in found
        if not any(path.endswith(f"/{code.text}") for path in known)
    ]
    assert not lost


## Examples that need no other program than Unix has


def example_with(page: str, text: str) -> str:
    [found] = [
        example.text
        for example in blocks("sh")
        if example.page == page and text in example.text
    ]
    return found


def bash(script: str, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", script],
        check=False,
        cwd=cwd,
        env=home_environ(cwd, **variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout


# The numbers of one sink's records in two streams; 12 and 13 are missing, and
# one record has come twice.
NUMBERS = [("aa", 11), ("aa", 14), ("bb", 1), ("aa", 15), ("aa", 14)]


def test_the_example_counts_what_is_missing_in_files(tmp_path: Path) -> None:
    for name, numbers in (("", NUMBERS[:3]), ("-2", NUMBERS[3:])):
        lines = [
            {"sink": {"name": "audit", "stream": stream, "number": number}}
            for stream, number in numbers
        ]
        (tmp_path / f"audit{name}.jsonl").write_text(
            "".join(
                json.dumps(line, separators=(",", ":")) + "\n" for line in lines
            )
        )
    printed = bash(example_with("docs/fleet.md", "audit*.jsonl"), tmp_path)
    assert sorted(printed.splitlines()) == ["audit aa 2", "audit bb 0"]


def test_the_example_counts_what_is_missing_in_syslog(tmp_path: Path) -> None:
    (tmp_path / "hg.log").write_text(
        "".join(
            f'<12>1 - - hg 1 x [hg@32473 sink.name="daemon" '
            f'sink.stream="{stream}" sink.number="{number}"] x\n'
            for stream, number in NUMBERS
        )
    )
    printed = bash(example_with("docs/fleet.md", "hg.log*"), tmp_path)
    assert sorted(printed.splitlines()) == ["daemon aa 2", "daemon bb 0"]


def test_the_example_switches_uilog_off(tmp_path: Path) -> None:
    script = example_with("docs/fleet.md", ".uilog-off")
    bash(script.replace("/etc/mercurial/hgrc.d", str(tmp_path)), tmp_path)
    done = subprocess.run(
        [UILOG, "config", "uilog.enabled"],
        check=False,
        cwd=tmp_path,
        env=home_environ(tmp_path, HGRCPATH=str(tmp_path / "zz-uilog-off.rc")),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "no", done


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl"
)
def test_the_example_makes_a_users_hash(tmp_path: Path) -> None:
    key = "0123456789abcdef"
    script = example_with("docs/privacy.md", "openssl dgst")
    printed = bash(script, tmp_path, KEY=key)
    digest = hmac.new(key.encode(), b"alice", "sha256").hexdigest()
    assert printed.split()[-1] == digest
