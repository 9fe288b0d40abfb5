"""The processes of `uilog run`, and a command that reports its signals."""

from __future__ import annotations

import processes
from conftest import until

# Says that it is there, sleeps, and says which signals it gets.
LISTENER = """
import os, signal, sys, time
def tell(number, frame):
    try:
        number = signal.Signals(number).name
    except ValueError:
        pass
    os.write(1, f"got {number}\\n".encode())
for name in sys.argv[1:]:
    number = getattr(signal, name, None) or int(name)
    signal.signal(number, tell)
os.write(1, f"pid {os.getpid()}\\n".encode())
while True:
    time.sleep(60)
"""


def wrapper_of(pid: int) -> int:
    """The process of `uilog run` around a command."""
    process = processes.look(pid)
    assert process is not None
    return process.parent


def gone(pid: int) -> None:
    until(f"the end of {pid}", lambda: processes.look(pid) is None)


def in_state(pid: int, states: str) -> None:
    def is_there() -> bool:
        process = processes.look(pid)
        return process is not None and process.state in states

    until(f"{pid} in a state of {states}", is_there)
