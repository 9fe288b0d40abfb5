"""Generates values, and prints how hg parses them.

As a module: the values. As a program, under the Python of some Mercurial:
reads lines `KIND HEX` from its standard input and answers each with one line,
as rust/uilog-config/examples/typed.rs does.

usage: config_values.py
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

KINDS = ("bool", "int", "bytes", "list", "date")

WORDS = {
    "bool": (
        *("yes", "no", "true", "false", "on", "off", "1", "0", "always"),
        *("never", "y", "n", "2", "", "yes ", "\xff"),
    ),
    "int": (
        *("0", "1", "-1", "+1", "007", "42", "1_000", "_1", "1_", "1__0"),
        *("0x10", "1e3", "1.0", "9223372036854775807", "- 1", "--1", "", "-"),
        *("-9223372036854775808", "12 34", "\x1c5", "\u0661", "5\x00", "+_1"),
    ),
    "bytes": (
        *("0", "1", "1k", "1 kb", "1.5m", "2 MB", "1G", "3gb", "5b", "10 b"),
        *("1.5", ".5k", "5.k", "1e3", "1e3k", "-1", "-1.5k", "k", "b", ""),
        *("1 000", "1_000k", "0x10", "1kbb", "1tb", "1 k b", "1.7 b", "+2k"),
        *("1.999", "0.1g", "1_0.5k", "1\x00k", "9007199254740993", "1 \xe9"),
        *("4095.99k", "1e-3g", "1,5k", "1kB", "1Mb", "3.3333333333333333g"),
    ),
    "list": (
        *("a", "a b", "a, b", '"a b"', '"a', 'a"', 'a"b', '"a" b', '"a"b'),
        *('"a\\"b"', "a\\b", '""', '"" a', 'a ""', ",", ", ,", "a,,b", "\\"),
        *('"a, b" c', 'a "b c" d', '"a""b"', "a\nb", "\na", " a", '" "', '\\"'),
        *('a\\"b', '"\\', '"\\"', "\xff", "\x00", "a\x0cb", "\x0b", "a\tb"),
        *('"a b', '"a b" "', '"a" "b', '",', '"a"\tb', '"a"\n"b"', '"""', ""),
    ),
    "date": (
        *("0 0", "1 0", "1234567890 -3600", "-1 0", "1 1 1", "0 x", "a 0"),
        *("2006-12-6", "2006-12-06 13:18", "2006-12-06 13:18:29", "12/6/2006"),
        *("Wed Dec 6 13:18:29 2006 +0100", "Dec 6 13:18 2006", "Dec 6 2006"),
        *("2006-12-06T13:18:29", "2006-12-06 13:18 -0800", "2006-12", "2006"),
        *("2006-12-6 1:18PM", "2006-13-6", "2006-02-30", "2006-12-06 25:00"),
        *("2006-12-06 13:18 UTC", "2006-12-06 13:18 GMT", "Dec 2006", "1e3 0"),
        *("2006-12-06 13:18 +01:00", "12/06/06 1:18:29pm", "2147483648 0", ""),
        *("-2147483648 0", "0 50400", "0 60000", "20061206", "2006-12-6 "),
        *("2006-12-06 13:18:29.5", "1200 1", "0 -43200", " 2006-12-6", "0  0"),
        *("Mon Sep 04 15:13:13 2006 0700", "2006-12-06 13:18Z", "foo", "\xff"),
        *("2006-04-15 13:30:15", "Apr 15 2006 1:30 +9:30", "9999999999 0"),
        *("1999-12-31 23:59:60", "2006-1-1 0:0", "1 +3600", "1 0x10", "1_0 0"),
    ),
}


def made_up(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Values and what they are to be taken for; first those with a meaning."""
    rng = random.Random(f"values {seed}")
    for kind in KINDS:
        for word in WORDS[kind]:
            yield kind, word.encode("latin-1" if ord_max(word) else "utf-8")
    for _ in range(count):
        kind = rng.choice(KINDS)
        yield kind, value(rng, kind)


def ord_max(word: str) -> bool:
    """Whether the characters stand for bytes."""
    return all(ord(character) < 256 for character in word)


def value(rng: random.Random, kind: str) -> bytes:
    """One or more of the words of a kind, in pieces."""
    word = rng.choice(WORDS[kind])
    while rng.random() < 0.4:
        word += rng.choice(("", " ", ",", "\t")) + rng.choice(WORDS[kind])
    data = bytearray(word.encode("latin-1" if ord_max(word) else "utf-8"))
    while rng.random() < 0.4:
        at = rng.randrange(len(data) + 1)
        what = rng.random()
        if what < 0.4:
            data[at : at + 1] = b""
        elif what < 0.9:
            data[at:at] = rng.choice(
                b" ,\"\\\n0159.-+_kKmMgGbBeE:/aP\t"
            ).to_bytes(1, "big")
        else:
            data[at:at] = bytes([rng.randrange(256)])
    if rng.random() < 0.1:
        data = data.swapcase()
    return bytes(data)


def answer(kind: str, value: bytes) -> str:
    """What hg's ui says."""
    from mercurial import error, ui as uimod

    ui = uimod.ui()
    ui.setconfig(b"s", b"n", value)
    try:
        got = getattr(ui, f"config{kind}")(b"s", b"n")
    except error.ConfigError:
        return "invalid"
    except Exception as exc:
        return f"crash {type(exc).__name__}"
    if kind == "list":
        return " ".join(["list", *("=" + item.hex() for item in got)])
    if got is None:
        return f"{kind} none"
    if kind == "date":
        return f"date {int(got[0])} {got[1]}"
    return f"{kind} {int(got)}"


def same(hg: str, ours: str) -> bool:
    """Whether hg's answer is ours.

    What crashes it, and numbers of more than 128 bits, are invalid for us.
    """
    kind, _, text = hg.partition(" ")
    if kind == "crash" or (
        kind in ("int", "bytes") and not -(1 << 127) <= int(text) < 1 << 127
    ):
        hg = "invalid"
    return ours == hg


def main() -> None:
    for line in sys.stdin:
        kind, _, text = line.rstrip("\n").partition(" ")
        print(answer(kind, bytes.fromhex(text)))


if __name__ == "__main__":
    main()
