"""Native half of the uilog extension."""

from collections.abc import Callable
from typing import Any, final

from typing_extensions import disjoint_base

__all__ = [
    "DATE_EXAMPLES",
    "ITEMS",
    "VERSION",
    "BlackboxSettings",
    "History",
    "LogFile",
    "Logger",
    "Peer",
    "become_another",
    "begin_phase",
    "claim_command",
    "close_peers",
    "command_peers",
    "command_root",
    "config_hints",
    "current_traceparent",
    "end_command",
    "end_hook",
    "end_phase",
    "enter_command",
    "enter_outermost",
    "finish",
    "foreign_fault",
    "internal_fault",
    "is_chg_server",
    "is_in_container",
    "leave_command",
    "line_fault",
    "orphan_peer",
    "orphaned_peers",
    "part_off",
    "register_peer",
    "relative_date",
    "repair",
    "running_hg",
    "set_head",
    "set_umask",
    "setup",
    "starter",
    "take_unseen",
    "taken_by_run",
    "unregister_peer",
]

VERSION: str
"""The version of this module."""

DATE_EXAMPLES: str
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
        sources: list[tuple[bytes, bytes]] | None = None,
    ) -> Logger: ...
    def with_root(self, root: bytes, url: bytes | None = None) -> Logger: ...
    @property
    def tells_traces(self) -> bool: ...
    def begin_command(self) -> None: ...
    def note_command(
        self, message: Any, canonical: bytes | None, depth: int
    ) -> None: ...
    def begin_span(
        self,
        version: Callable[[], Any],
        owns_environment: bool,
        is_new: bool,
    ) -> bytes | None: ...
    def begin_hook(
        self, is_python: bool, owns_environment: bool
    ) -> bytes | None: ...
    def __contains__(self, event: Any) -> bool: ...
    def tracked(self, event: Any) -> bool: ...
    def log(
        self, _ui: Any, event: Any, msg: Any, opts: dict[Any, Any]
    ) -> bool: ...
    def faults(self) -> list[tuple[str, str, str]]: ...
    def sinks(self) -> list[str]: ...
    def urls(self) -> list[tuple[str, str]]: ...
    def status(
        self, probe: bool = False, queue_dir: bytes | None = None
    ) -> dict[str, Any]: ...

_Given = tuple[bool, bytes | None, int | None, tuple[float, int] | None]
_Refused = tuple[int | None, bytes | None]
_Told = tuple[_Refused | None, list[bytes], bytes | None]

@final
class BlackboxSettings:
    """What `[blackbox]` says in a ui."""

    def __new__(
        cls,
        items: list[tuple[bytes, bytes]],
        default_date: bytes | None = None,
    ) -> BlackboxSettings: ...
    @property
    def tells_dirty(self) -> bool: ...
    @property
    def has_date(self) -> bool: ...
    def faults(self) -> list[tuple[str, str, str]]: ...

@final
class LogFile:
    """A log file that hg writes."""

    def __new__(
        cls,
        path: bytes,
        maxsize: int,
        maxfiles: int,
        mode: int | None = None,
    ) -> LogFile: ...
    @staticmethod
    def of_blackbox(
        path: bytes, settings: BlackboxSettings, mode: int | None = None
    ) -> LogFile: ...
    @property
    def path(self) -> bytes: ...
    @property
    def off(self) -> bytes | None: ...
    def __contains__(self, event: Any) -> bool: ...
    def write_line(
        self,
        event: Any,
        message: Any,
        settings: BlackboxSettings,
        parents: tuple[bytes, bytes] | None,
        given: _Given | None = None,
    ) -> _Told | None: ...
    def write_file_line(
        self,
        event: Any,
        message: Any,
        pid: int | None,
        date: tuple[float, int] | None,
    ) -> _Told | None: ...

@final
class History:
    """A blackbox that is being read."""

    def __new__(
        cls,
        path: bytes,
        *,
        date_format: bytes,
        limit: int,
        as_events: bool,
        follow: bool,
        count_damaged: bool,
        since: tuple[int, int] | None = None,
        until: tuple[int, int] | None = None,
        events: list[bytes] = ...,
        users: list[bytes] = ...,
        pids: list[int] = ...,
        commands: list[bytes] = ...,
        failed: bool = False,
        slower: float | None = None,
        nodes: set[bytes] | None = None,
    ) -> History: ...
    def next_text(self) -> bytes | None: ...
    def next_events(self) -> list[dict[str, Any]] | None: ...
    def poll(self) -> None: ...
    def damaged(self) -> int: ...
    def undated(self) -> int: ...
    def left_out(self) -> int: ...
    def unreadable(self) -> list[tuple[bytes, int]]: ...

@disjoint_base
class Peer:
    """A connection through a child process."""

    def __new__(
        cls, url: bytes, pid: int, stdin: int, stdout: int, stderr: int
    ) -> Peer: ...
    @property
    def url(self) -> bytes: ...
    @property
    def is_own(self) -> bool: ...
    def descriptors(self) -> list[int | None]: ...
    def close_descriptor(self, fd: int) -> None: ...
    def closed(self) -> tuple[bytes, float, int | None] | None: ...

def relative_date(text: bytes, now: int) -> tuple[int, int] | None: ...
def setup(module_path: bytes, hgexecutable: Callable[[], bytes]) -> None: ...
def claim_command() -> bool: ...
def current_traceparent() -> bytes | None: ...
def command_root() -> bytes | None: ...
def is_in_container() -> bool: ...
def starter(is_used: bool, is_there: bool) -> tuple[str | None, str | None]: ...
def running_hg(pid: int) -> tuple[str | None, str | None]: ...
def set_head(root: bytes, name: bytes | None, node: bytes | None) -> None: ...
def become_another(is_about_to: bool) -> None: ...
def end_command() -> None: ...
def end_hook() -> None: ...
def add_cost(option: str, cost: float) -> None: ...
def add_wire_commands(commands: list[tuple[bytes, int, float]]) -> bytes: ...
def trylock(
    part: Callable[[str], Any],
    parts: dict[str, Any],
    orig: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any: ...
def steal_lock(
    orig: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any: ...
def begin_phase(kind: bytes, options: dict[str, Any]) -> None: ...
def end_phase() -> None: ...
def taken_by_run(event: bytes, depth: int) -> tuple[bool, bool]: ...
def set_umask(umask: int) -> None: ...
def repair(
    event: Any, msgfmt: Any, msgargs: tuple[Any, ...], error: Any
) -> bytes: ...
def foreign_fault(logger: Any, event: Any, error: Any) -> None: ...
def internal_fault(error: Any) -> None: ...
def part_off(detail: str) -> None: ...
def line_fault(detail: bytes, error: Any) -> None: ...
def close_peers(
    logger: Logger | None,
    peers: list[Any],
    show: Callable[[Any, bytes], None],
    leaked: bool,
) -> None: ...
def register_peer(handle: Any) -> int: ...
def orphan_peer(id: int) -> None: ...
def unregister_peer(
    id: int, leaked: bool, connection: Peer | None = None
) -> None: ...
def command_peers() -> list[Any]: ...
def orphaned_peers() -> list[Any]: ...
def enter_command(is_served: bool) -> None: ...
def enter_outermost() -> None: ...
def is_chg_server() -> bool: ...
def leave_command() -> None: ...
def finish() -> None: ...
def take_unseen() -> list[str]: ...
def config_hints(
    uilog: list[tuple[bytes, bytes]],
    logtoprocess: list[tuple[bytes, bytes]],
) -> list[tuple[str, str, str]]: ...
