"""The history of commands, as the agent writes it and as `uilog log` reads it;
and a blackbox, which tells the same."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from conftest import Home

SECRET = "hunter2"
ROWS = "{name} {exit} {repository}\\n"


def history(home: Home) -> list[Path]:
    directory = Path(home.run("uilog", "history", "path").strip())
    return sorted(directory.glob("*")) if directory.exists() else []


@pytest.mark.parametrize("agent", ["", "agent = no\n"], ids=["agent", "none"])
def test_commands_are_kept_and_shown_and_deleted(
    home: Home, agent: str
) -> None:
    repository = home.repository()
    home.configure(f"[uilog]\nhistory = yes\n{agent}[extensions]\nblackbox =\n")
    home.hg("--verbose", "log", "-r", "tip", cwd=repository)
    home.run("sh", "-c", "! hg update nosuch", cwd=repository)
    home.run(
        "sh", "-c", f"! hg pull http://u:{SECRET}@127.0.0.1:9/", cwd=repository
    )
    home.hg("status", "--config", "uilog.history=no", cwd=repository)
    home.flush()
    (file,) = history(home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    records = [json.loads(line) for line in file.read_text().splitlines()]
    finished = [it for it in records if it["event"] == "commandfinish"]
    names = [it["process"]["command"] for it in finished]
    assert names == ["log", "update", "pull"]
    assert SECRET not in file.read_text()

    shown = home.run("uilog", "log", "-T", ROWS)
    expected = ["log 0 repo", "update 255 repo", "pull 255 repo"]
    assert shown.splitlines() == expected
    failed = home.run("uilog", "log", "--failed")
    assert "    unknown revision 'nosuch'" in failed
    # hg's blackbox tells the same, and what was kept out of the history.
    blackbox = home.run("uilog", "log", "-T", ROWS, str(repository))
    assert blackbox.splitlines() == [*expected, "status 0 repo"]
    assert SECRET in (repository / ".hg/blackbox.log").read_text()
    lines = home.run(
        "uilog", "export", "--format", "otlp-json", str(repository)
    )
    assert SECRET not in lines

    assert "1 file deleted" in home.run("uilog", "history", "delete")
    assert history(home) == []
