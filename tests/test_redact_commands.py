"""The redactor's tables of hg's commands and words match Mercurial's."""

from __future__ import annotations

import subprocess

from tools.common import MAIN_HG, ROOT, venv_of


def test_the_table_of_commands_is_that_of_mercurial() -> None:
    told = subprocess.run(
        [venv_of(MAIN_HG) / "bin" / "python", "tests/tools/command_table.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    table = ROOT / "rust" / "uilog-event/src/command/commands.txt"
    assert told.stdout == table.read_text()


def test_the_words_of_errors_are_those_of_mercurial() -> None:
    told = subprocess.run(
        [venv_of(MAIN_HG) / "bin" / "python", "tests/tools/message_words.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    words = ROOT / "rust" / "uilog-redact" / "message_words.txt"
    assert told.stdout == words.read_text()
