"""Native half of the uilog extension."""

from collections.abc import Callable
from typing import Any, final

__all__ = [
    "ITEMS",
    "VERSION",
    "Logger",
    "finish",
    "foreign_fault",
    "internal_fault",
    "repair",
    "set_umask",
    "setup",
    "take_unseen",
]

VERSION: str
"""The version of this module."""

ITEMS: list[tuple[str, str]]
"""The items of the ``[uilog]`` section and their defaults."""

@final
class Logger:
    """The sinks of one ui, as a logger for ``ui.setlogger``."""

    root: bytes | None
    def __new__(
        cls,
        uilog: list[tuple[bytes, bytes]],
        logtoprocess: list[tuple[bytes, bytes]],
        root: bytes | None = None,
    ) -> Logger: ...
    def with_root(self, root: bytes) -> Logger: ...
    def begin_command(self) -> None: ...
    def tracked(self, event: Any) -> bool: ...
    def log(
        self, _ui: Any, event: Any, msg: Any, opts: dict[Any, Any]
    ) -> bool: ...
    def faults(self) -> list[tuple[str, str, str]]: ...
    def sinks(self) -> list[str]: ...
    def status(self, probe: bool = False) -> dict[str, Any]: ...

def setup(module_path: bytes, hgexecutable: Callable[[], bytes]) -> None: ...
def set_umask(umask: int) -> None: ...
def repair(
    event: Any, msgfmt: Any, msgargs: tuple[Any, ...], error: Any
) -> bytes: ...
def foreign_fault(logger: Any, event: Any, error: Any) -> None: ...
def internal_fault(error: Any) -> None: ...
def finish() -> None: ...
def take_unseen() -> list[str]: ...
