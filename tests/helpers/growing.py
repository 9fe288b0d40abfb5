"""The content of a file that a process may still be writing."""

from __future__ import annotations

from pathlib import Path


def whole_lines(path: Path) -> bytes:
    """The lines that have come to their end; none if there is no file.

    One `write` of several pages is seen by a reader page by page, so that what
    follows the last end of a line may be the half of one.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return b""
    return text[: text.rfind(b"\n") + 1]
