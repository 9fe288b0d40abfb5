"""Shows fields of the records that a sink `file:` has written.

One line for each record, in the order of the file: the fields' values as JSON,
`-` for a field that is not there.

usage: records.py FILE FIELD..., with FIELD such as process.command
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def field(record: Any, name: str) -> str:
    for part in name.split("."):
        if not isinstance(record, dict) or part not in record:
            return "-"
        record = record[part]
    return record if isinstance(record, str) else json.dumps(record)


def main(argv: list[str]) -> int:
    path, *fields = argv
    text = Path(path).read_text() if Path(path).exists() else ""
    # As in fleet.py: an empty line is none.
    for line in filter(None, text.splitlines()):
        record = json.loads(line)
        print(" ".join(field(record, name) for name in fields))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
