"""Makes up configuration trees: files, an environment, commands to run there.

Responsible for trees in which each thing that a hgrc can hold meets each
other one; a seed always gives the same tree. Must not know what hg or uilog
make of one: that is config_parity.py's.

What would change `hg config` itself instead of the configuration that it
prints is left out: aliases and defaults for `config`, hooks around it,
extensions that are loaded, colours, profiling, debug output, tracebacks,
time stamps, and settings that decide whether a repository can be opened.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Union

# Stands for the tree's directory in contents, variables and arguments.
ROOT = b"@ROOT@"

# Owners other than the one who runs hg, where root may give files away:
# (user, group) by name, or numbers that have no name.
OWNERS = (("nobody", "nogroup"), ("nobody", "root"), ("daemon", "daemon"))
NAMELESS = (54321, 54322)

# The options of a command that are followed by their value.
VALUED_OPTIONS = (b"--config", b"-R", b"--repository", b"--cwd", b"-T")

REQUIRES = b"dotencode\nfncache\ngeneraldelta\nrevlogv1\nsparserevlog\nstore\n"


@dataclass(frozen=True)
class File:
    """A file; its owner is an index into OWNERS, or -1 for us."""

    data: bytes
    owner: int = -1
    mode: int = 0o644


@dataclass(frozen=True)
class Directory:
    """A directory that has to be there, empty or not."""


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: bytes


Entry = Union[File, Directory, Link]


@dataclass(frozen=True)
class Tree:
    """What hg is given to read, and what it is asked."""

    entries: dict[bytes, Entry]
    env: dict[bytes, bytes]
    cwd: bytes
    commands: tuple[tuple[bytes, ...], ...]

    def place(self, root: bytes) -> Tree:
        """The tree as it is at this directory."""

        def put(text: bytes) -> bytes:
            return text.replace(ROOT, root)

        def put_entry(entry: Entry) -> Entry:
            if isinstance(entry, File):
                return replace(entry, data=put(entry.data))
            if isinstance(entry, Link):
                return Link(put(entry.target))
            return entry

        return Tree(
            {path: put_entry(entry) for path, entry in self.entries.items()},
            {name: put(value) for name, value in self.env.items()},
            self.cwd,
            tuple(tuple(map(put, command)) for command in self.commands),
        )


SECTIONS = (
    *(b"ui", b"paths", b"trusted", b"alias", b"a", b"b", b"logtoprocess"),
    *(b"defaults", b"commands", b"command-templates", b"revsetalias"),
    *(b"templatealias", b"blackbox", b"uilog", b"merge-tools"),
    *(b"A", b"a b", b"a.b", b"a=b", b"s\xe9", b"\xc3\xa9", b"\xff\x00", b" a"),
    *(b"b:c", b"pager", b"auth", b"hooks", b"diff", b"committemplate", b"%a"),
)
# The sections in which hg itself does something.
COMMON = 12

NAMES: dict[bytes, tuple[bytes, ...]] = {
    b"ui": (
        *(b"quiet", b"verbose", b"report_untrusted", b"tweakdefaults"),
        *(b"editor", b"username", b"logtemplate", b"style", b"slash"),
        *(b"detailed-exit-code", b"message-output", b"statuscopies"),
        *(b"fallbackencoding", b"merge", b"rollback", b"logblockedtimes"),
        *(b"interface", b"timeout", b"debug", b"traceback"),
    ),
    b"paths": (
        *(b"default", b"default-push", b"other", b"other:pushrev", b"repo"),
        *(b"repo:pushrev", b"x/y", b"%%", b"sub"),
    ),
    b"trusted": (b"users", b"groups"),
    b"pager": (b"pager", b"attend-log"),
    b"commands": (
        *(b"status.relative", b"resolve.confirm", b"update.check", b"a"),
        *(b"rebase.requiredest", b"resolve.explicit-re-merge"),
    ),
    b"defaults": (b"log", b"status"),
    b"alias": (b"st2", b"lg", b"lg:doc"),
    b"hooks": (b"post-commit", b"incoming", b"incoming.a", b"commit"),
    b"diff": (b"git", b"showfunc", b"word-diff"),
    b"logtoprocess": (b"commandfinish", b"command", b"uiblocked"),
    b"blackbox": (b"track", b"maxsize", b"date-format", b"dirty"),
    b"merge-tools": (b"araxis.gui", b"kdiff3.args", b"new.priority"),
}
ANY_NAMES = (
    *(b"a", b"b", b"c", b"A", b"a b", b"a  b", b"a.b", b"a:b", b"a-b", b"x\ty"),
    *(b"\xe9", b"\xc3\xa9", b"\xff", b"n\x00l", b"[a", b"a]", b"a[b]", b"%x"),
    *(b'"a"', b"a,b", b"a#b", b"a;b", b"-", b"0", b"a\x0bb", b"a\x0cb"),
)

BOOLS = (
    *(b"yes", b"no", b"true", b"false", b"on", b"off", b"1", b"0", b"always"),
    *(b"never", b"Yes", b"FALSE"),
)
VALUES = (
    *(b"", b"x", b"yes", b"no", b"1", b"value", b"two words", b"a=b", b"= a"),
    *(b"a = b = c", b"# no comment", b"a # b", b"a ; b", b";", b"%include a"),
    *(b"[a]", b"tab\tin", b"\xe9t\xe9", b"\xc3\xa9", b"\xff\xfe", b"nul\x00l"),
    *(b"$HOME", b"~/x", b"%%", b"%s", b"\\n", b"\\", b'"q"', b"'q'", b"a\\"),
    *(b"\x0bvt", b"ff\x0c", b"a\x0cb", b"a\x0bb", b"\x1c", b"a\x1c\x1d\x1eb"),
    *(b"\x85", b"\xc2\x85", b"\xc2\xa0", b"a,b,c", b"x" * 300, b"\x1b[0m"),
    *(b"\xe2\x80\xa8", b"a\x7fb", b"\x01", b"a  b   c", b"http://u:p@h/p#f"),
)
PATHS = (
    *(b"http://example.com/", b"../other", b"/abs/path", b"~/r", b"$HOME/r"),
    *(b"a%%b", b"%%", b"repo", ROOT + b"/repo", b"ssh://u@h/p", b"", b"."),
    *(b"a%b%%c", b"path with space", b"file:///x", b"$MISSING/x", b"sub/.."),
    *(b"path://repo", b"path://none"),
)
LISTS = (
    *(b"", b"*", b"nobody", b"daemon", b"root", b"nogroup", b"a, nobody"),
    *(b'"nobody"', b"nobody daemon", b"nobody,daemon", b"no body", b"54321"),
    *(b'"nobody', b"nobody\n  daemon", b", ,", b'"a b" nobody', b'a"'),
)

BLANKS = (b"", b" ", b"  ", b"\t", b" \t", b"\x0b", b"\x0c", b"\x0c ")
ENDS = (b"\n", b"\r\n", b"\r", b"\n\n", b"", b"\x0b\n", b"\x0c\n", b" \n")
BOM = b"\xef\xbb\xbf"

# As people write them.
SAMPLES = (
    b"""\
# see 'hg help config' for more info
[ui]
# name and email, e.g.
# username = Jane Doe <jdoe@example.com>
username = J\xc3\xb6rg D\xf6e <joe@example.com>
merge = meld
ssh = ssh -C

[alias]
lg = log --graph --template "{rev}:{node|short} {desc|firstline}\\n"
cleanup = !hg --config extensions.purge= purge \\
   --all "$@"

[diff]
git = 1
showfunc = 1
[paths]
default = ssh://hg@example.com//srv/repos/project
default:pushurl = https://example.com/project
upstream = ../project
""",
    b"""\
[hooks]
# check that there is a ticket
pretxncommit.ticket = [ "$HG_NODE" ] &&
    # not in the middle
    hg log -r "$HG_NODE" --template '{desc}' |
\tgrep -q '#[0-9]'
incoming.notify = python:hgext.notify.hook

[web]
style = monoblue
allow_push = *
push_ssl = False

[templates]
oneline = "{label('x', rev)} = {desc}\\n"
; old style comment

%include shared.rc
[trusted]
users = nobody, build
groups = *
""",
    b"""\
[logtoprocess]
commandfinish = echo "$EVENT $OPT_DURATION"
    echo "$MSG1"
  echo end

blocked =
[blackbox]
track = command, commandfinish,
    commandexception
maxsize = 1.5 MB
%unset track
[extensions]
churn = !
hgk = !/path/to/hgk.py
""",
    b"[ui]\r\nusername = win <w@example.com>\r\neditor = notepad\r\n"
    b"[paths]\r\ndefault = C:\\repos\\a\r\n  more\r\n",
)


@dataclass
class Maker:
    """Makes one tree."""

    random: random.Random
    owners: bool
    entries: dict[bytes, Entry] = field(default_factory=dict)
    env: dict[bytes, bytes] = field(default_factory=dict)
    # What may be included, by the path from the root.
    includes: list[bytes] = field(default_factory=list)
    # What a command may ask for.
    sections: list[bytes] = field(default_factory=list)
    items: list[bytes] = field(default_factory=list)
    # How much of the syntax is odd, and whether it may be wrong.
    oddness: float = 0.1
    faulty: bool = False
    # Whether it matters who is trusted.
    trusting: bool = False

    def one(self, choices: Sequence[bytes]) -> bytes:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def odd(self) -> bool:
        return self.chance(self.oddness)

    def wrong(self, probability: float) -> bool:
        """Whether to do what may be an error to hg."""
        return self.faulty and self.chance(probability)

    # Text

    def section(self) -> bytes:
        if self.chance(0.7):
            return self.one(SECTIONS[:COMMON])
        if self.odd():
            return self.harmless(self.noise(6), b"[")
        return self.one(SECTIONS)

    def harmless(self, noise: bytes, syntax: bytes) -> bytes:
        """What may stand in a name, unless the tree may be wrong."""
        if self.wrong(0.5):
            return noise
        noise = noise.translate(None, b"\r\n" + syntax).strip()
        return noise if noise and noise[0] not in b"#;%" else b"a" + noise

    def noise(self, most: int) -> bytes:
        """Any bytes, most of them such as mean something to the parser."""
        alphabet = (
            b"ab=:#;[]%\\\"' \t\n\r\x0b\x0c\x00\x1c\x85\xff\xef\xbb\xbf,."
        )
        return bytes(
            self.random.choice(alphabet)
            if self.chance(0.8)
            else self.random.randrange(256)
            for _ in range(self.random.randint(0, most))
        )

    def name(self, section: bytes) -> bytes:
        known = NAMES.get(section)
        if known and self.chance(0.8):
            return self.one(known)
        if self.odd():
            return self.harmless(self.noise(5), b"[=")
        return self.one(ANY_NAMES)

    def value(self, section: bytes, name: bytes) -> bytes:
        if section == b"trusted":
            return self.one(LISTS)
        if section == b"paths":
            return self.one(PATHS if self.chance(0.8) else VALUES)
        if section == b"ui":
            if name in (b"debug", b"traceback"):
                wrong = self.wrong(0.1)
                return self.one((b"maybe",) if wrong else (b"no", b"0"))
            if name in (b"detailed-exit-code",):
                return self.one((b"yes", b"no", b"1"))
            if name == b"message-output":
                good = (b"stdio", b"stderr", b"channel")
                return b"nowhere" if self.wrong(0.1) else self.one(good)
            if name == b"fallbackencoding":
                return self.one((b"utf-8", b"latin-1"))
            if name in (
                *(b"quiet", b"verbose", b"report_untrusted"),
                *(b"tweakdefaults", b"logblockedtimes"),
            ):
                return b"perhaps" if self.wrong(0.1) else self.one(BOOLS)
        if self.odd():
            return self.harmless(self.noise(12), b"")
        return self.one(VALUES)

    def blank(self) -> bytes:
        return self.one(BLANKS) if self.odd() else self.one((b"", b" "))

    def end(self) -> bytes:
        return self.one(ENDS) if self.odd() else b"\n"

    def line_end(self) -> bytes:
        """What ends one line, and not an item."""
        end = self.end()
        return end if end != b"\n\n" or self.wrong(0.1) else b"\n"

    def item(self, section: bytes) -> bytes:
        name = self.name(section)
        self.items.append(section + b"." + name)
        value = self.value(section, name)
        return name + self.blank() + b"=" + self.blank() + value + self.blank()

    def continuation(self) -> bytes:
        """One or more lines that belong to the item before them."""
        lines: list[bytes] = []
        for _ in range(self.random.randint(1, 4)):
            kind = self.random.random()
            # Nothing continues an item behind an empty line.
            if lines and not lines[-1].strip() and not self.wrong(0.1):
                break
            indent = self.one((b" ", b"  ", b"\t", b"    ", b"\x0c", b"\x0b"))
            if kind < 0.6:
                lines.append(indent + self.one(VALUES) + self.blank())
            elif kind < 0.7:
                lines.append(self.one((b"# comment", b";comment", b"#", b";")))
            elif kind < 0.78:
                lines.append(indent + self.one((b"# text", b"; text")))
            elif kind < 0.88:
                lines.append(self.one(BLANKS))
            elif kind < 0.94:
                lines.append(indent + b"%include " + self.one(VALUES))
            else:
                lines.append(indent + b"[a]")
        return self.line_end().join(lines)

    def include(self, at: bytes) -> bytes:
        """The path of a file to include, in one of the ways to say it."""
        where = at.rpartition(b"/")[0]
        if self.wrong(0.1):
            target = self.one((b"d", b"home", b"x" * 300, b"file/x"))
        elif self.includes and not self.chance(0.1):
            target = self.one(self.includes)
        else:
            target = b"none.rc"
        kind = self.random.random()
        if kind < 0.45:
            up = b"../" * (where.count(b"/") + 1) if where else b""
            path = up + target
        elif kind < 0.6:
            path = ROOT + b"/" + target
        elif kind < 0.7:
            path = b"~/../" + target
        elif kind < 0.8:
            path = b"$ROOT/" + target
        elif kind < 0.9:
            path = b"${ROOT}/./" + target
        elif kind < 0.93:
            path = b"$INC" if self.chance(0.5) else b"${INC}"
        elif self.wrong(0.3):
            path = self.one((b".", b"..", b"/", b"loop", b"~", b"~/"))
            if self.chance(0.05):
                path = b"a\x00b"
        else:
            path = self.one(
                (
                    *(
                        b"$MISSING/x",
                        b"${MISSING",
                        b"$",
                        b"~nobody/x",
                        b"~nix/x",
                    ),
                    *(b"//etc/none", b"\xff", b"$$", b"${}", b"$ROOT$ROOT"),
                    *(b"a b.rc", b"x\x0by", b"$INC.", b"${INC}x", b"$\xe9"),
                )
            )
        space = self.one((b" ", b" ", b"  ", b"\t"))
        return b"%include" + space + path + self.blank()

    def broken(self) -> bytes:
        """What is an error to hg, most of the time."""
        return self.one(
            (
                *(b"no equals sign", b" indented", b" a = b", b"= value", b"["),
                *(b"[]", b"[a", b"[[a]]", b"]", b"%unset", b"%include", b"x"),
                *(
                    b"%unset ",
                    b"%include ",
                    b"%unknown",
                    b"\x00",
                    b"\xff",
                    b"\t",
                ),
                *(b"\ta = b", b"%Include x", b"[a[b]", b" [a]", b" ", b" #"),
                *(b"%includex", b"%unsetx", BOM, BOM + b"[a]", b" %include x"),
                *(b"\x0ca = b", b"\x0b[a]", b"\x1ca=b", b"\x85a = b", b"  "),
            )
        )

    def text(self, at: bytes, lines: int) -> bytes:
        """A file's text."""
        out = []
        section = b""
        for _ in range(lines):
            kind = self.random.random()
            if kind < 0.15 or (not section and kind < 0.8):
                section = self.section()
                self.sections.append(section)
                line = b"[" + section + b"]"
                if self.odd():
                    line += self.one((b" ", b" # x", b" x = y", b"]", b"\t;"))
            elif kind < 0.58:
                line = self.item(section)
                if self.chance(0.25):
                    line += self.line_end() + self.continuation()
            elif kind < 0.66:
                line = b"%unset " + self.name(section)
            elif kind < 0.74:
                line = self.include(at)
            elif kind < 0.8:
                line = self.one((b"# a", b"; a", b"#", b"#a = b", b";[a]"))
            elif kind < 0.87:
                line = self.one(BLANKS)
            elif kind < 0.93:
                line = self.continuation()
                if not self.wrong(0.1):
                    line = self.item(section) + self.line_end() + line
            elif self.wrong(0.2):
                line = self.broken()
            elif self.odd():
                line = self.item(section) + b"y" * 5000
            else:
                line = self.item(section)
            out += [line, self.end()]
        return b"".join(out)

    def mutated(self, text: bytes) -> bytes:
        """The same with a few changes."""
        # Nothing may turn into an extension that is loaded.
        text = text.replace(b"[extensions]", b"[b]")
        if not self.faulty:
            return text.replace(b"\n", self.line_end())
        lines = text.splitlines(True)
        for _ in range(self.random.randint(0, 4)):
            at = self.random.randrange(len(lines))
            kind = self.random.randrange(6)
            if kind == 0:
                del lines[at]
            elif kind == 1:
                lines.insert(at, self.one(lines))
            elif kind == 2:
                cut = self.random.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + self.noise(3) + lines[at][cut:]
            elif kind == 3:
                lines[at] = self.one(BLANKS) + lines[at]
            elif kind == 4:
                lines[at] = lines[at].rstrip() + self.end()
            else:
                lines[at] = lines[at].replace(b"=", b"", 1)
            if not lines:
                return b""
        return b"".join(lines)

    def content(self, at: bytes) -> bytes:
        """What a configuration file holds."""
        kind = self.random.random()
        if kind < 0.04:
            return b""
        if kind < 0.14:
            data = self.mutated(self.one(SAMPLES))
        elif kind < 0.16 and self.faulty:
            data = self.noise(40)
        else:
            data = self.text(at, self.random.randint(1, 20))
        if self.odd():
            data = BOM + data
            if self.wrong(0.2):
                data = BOM + data
        if self.odd():
            data = data.rstrip(b"\r\n")
        if self.odd():
            data = data.replace(b"\n", self.one((b"\r\n", b"\r")))
        return data

    # Files

    def config(self, path: bytes, foreign: float = 0.0) -> None:
        """A file of configuration, or what may be in its place."""
        owner = -1
        if self.owners and self.chance(foreign):
            owner = self.random.randrange(len(OWNERS) + 1)
        if self.chance(0.02):
            self.entries[path] = Directory()
        elif self.wrong(0.05):
            self.entries[path] = Link(
                self.one(
                    (b"none", path.rpartition(b"/")[2], ROOT + b"/inc/0.rc")
                )
            )
        else:
            data = self.content(path)
            if self.trusting and not foreign and self.chance(0.3):
                data += b"\n[trusted]\n" + self.item(b"trusted") + b"\n"
            self.entries[path] = File(data, owner)

    def repository(
        self, path: bytes, foreign: float, requires: bytes = b""
    ) -> None:
        """A repository that hg can open."""
        dot_hg = path + b"/.hg"
        if requires:
            self.entries[dot_hg + b"/requires"] = File(requires)
            self.entries[dot_hg + b"/store/requires"] = File(REQUIRES)
        else:
            self.entries[dot_hg + b"/requires"] = File(REQUIRES)
        self.entries[dot_hg + b"/store"] = Directory()
        if self.chance(0.85):
            self.config(dot_hg + b"/hgrc", foreign)
        if self.chance(0.3):
            self.config(dot_hg + b"/hgrc-not-shared", foreign)

    def included(self, foreign: float) -> None:
        """Files that others include, each of them only later ones.

        So there is no cycle: hg follows one until Python stops it.
        """
        names = [b"inc/%d.rc" % number for number in range(4)]
        names += [b"inc/sub/with space.rc", b"home/inc.rc", b"d"]
        self.entries[b"d"] = Directory()
        self.entries[b"file"] = File(b"")
        self.entries[b"inc/loop"] = Link(b"loop")
        for at in reversed(range(len(names))):
            name = names[at]
            if name != b"d" and self.chance(0.8):
                self.config(name, foreign)
                if not (self.faulty or isinstance(self.entries[name], File)):
                    del self.entries[name]
                if isinstance(self.entries.get(name), Link):
                    # It could lead to one that includes it.
                    del self.entries[name]
            if name != b"d" or self.faulty:
                self.includes.insert(0, name)

    def repositories(self, foreign: float) -> list[bytes]:
        """The repository, and whether it shares with another one."""
        kind = self.random.random()
        if kind < 0.55:
            self.repository(b"repo", foreign)
        elif kind < 0.85:
            safe = self.chance(0.7)
            relative = self.chance(0.5)
            word = b"relshared\n" if relative else b"shared\n"
            if safe:
                self.repository(b"source", foreign, b"share-safe\n")
                self.repository(b"repo", foreign, b"share-safe\n" + word)
                del self.entries[b"repo/.hg/store/requires"]
            else:
                self.repository(b"source", foreign)
                self.repository(b"repo", foreign)
                self.entries[b"repo/.hg/requires"] = File(REQUIRES + word)
            source = b"../../source/.hg" if relative else ROOT + b"/source/.hg"
            if self.wrong(0.1):
                source = (
                    b"../../nowhere/.hg" if relative else ROOT + b"/nowhere"
                )
            if self.chance(0.8):
                source += b"\n"
            self.entries[b"repo/.hg/sharedpath"] = File(source)
        else:
            self.repository(b"repo", foreign, b"share-safe\n")
        self.entries[b"repo/sub/dir"] = Directory()
        if self.chance(0.5):
            self.repository(b"other", foreign)
        return [path for path in (b"repo", b"other") if self.has(path)]

    def has(self, directory: bytes) -> bool:
        return directory + b"/.hg/requires" in self.entries

    # What hg is started with

    def files_of_the_user(self) -> None:
        kind = self.random.random()
        if kind < 0.6:
            paths = [b""] if self.chance(0.1) else []
            for _ in range(self.random.choice((0, 1, 1, 2, 3))):
                name = self.one((b"u1.rc", b"u2.rc", b"~/u3.rc", b"$ROOT/u4"))
                if self.chance(0.2):
                    paths.append(self.one((b"none", b"", b"$NONE/x", b"~")))
                elif self.chance(0.25):
                    paths.append(ROOT + b"/rc.d")
                    for rc in (b"b.rc", b"a.rc", b"c.txt", b"\xe9.rc", b".rc"):
                        if self.chance(0.5):
                            self.config(b"rc.d/" + rc)
                elif name.startswith((b"~", b"$")):
                    paths.append(name)
                    there = name.replace(b"~", b"home").replace(b"$ROOT/", b"")
                    self.config(there)
                else:
                    paths.append(ROOT + b"/" + name)
                    self.config(name)
            self.env[b"HGRCPATH"] = b":".join(paths)
            return
        if self.chance(0.7):
            self.config(b"home/.hgrc")
        if self.chance(0.4):
            self.config(b"home/.config/hg/hgrc")
        if self.chance(0.3):
            xdg = self.one((ROOT + b"/xdg", b"xdg", b"", b"/none"))
            self.env[b"XDG_CONFIG_HOME"] = xdg
            self.config(b"xdg/hg/hgrc")
        if self.chance(0.4):
            self.config(b"prefix/etc/mercurial/hgrc")
        if self.chance(0.2):
            for rc in (b"z.rc", b"m.rc", b"a.rc", b"a.conf"):
                self.config(b"prefix/etc/mercurial/hgrc.d/" + rc)

    def environment(self) -> None:
        env = self.env
        env[b"HOME"] = ROOT + b"/home"
        env[b"ROOT"] = ROOT
        env[b"PATH"] = ROOT + b"/prefix/bin:/usr/bin:/bin"
        env[b"LC_ALL"] = b"C"
        # How uilog knows the hg that is asked, and so the system's files.
        env[b"HG"] = ROOT + b"/prefix/bin/hg"
        env[b"INC"] = ROOT + b"/inc/3.rc"
        if self.chance(0.25):
            env[b"HGPLAIN"] = self.one((b"", b"1", b"0"))
        if self.chance(0.2):
            features = (
                *(b"", b"alias", b"revsetalias", b"templatealias", b"i18n"),
                *(b"tweakdefaults", b"alias,revsetalias", b" alias ", b"color"),
                *(b"progress", b"tweakdefaults,templatealias", b"alias, x"),
            )
            env[b"HGPLAINEXCEPT"] = self.one(features)
        for name, most in ((b"EDITOR", 0.3), (b"VISUAL", 0.2), (b"PAGER", 0.3)):
            if self.chance(most):
                env[name] = self.one(
                    (b"", b"vi", b"less -R", b"\xe9d", b"a\nb")
                )
        if self.chance(0.05):
            env[b"HGRCSKIPREPO"] = self.one((b"", b"1"))
        if self.chance(0.03):
            del env[b"HOME"]

    def overrides(self) -> list[bytes]:
        """--config, well-formed or not."""
        options: list[bytes] = []
        if self.chance(0.1):
            options += [b"--config", b"ui.detailed-exit-code=yes"]
        while self.chance(0.25):
            section = self.section()
            name = self.name(section)
            value = self.value(section, name)
            if b"." in section or not section.strip() or not name.strip():
                section, name = b"a", b"b"
            if (section, name) in ((b"ui", b"debug"), (b"ui", b"traceback")):
                continue
            self.items.append(section + b"." + name)
            text = section + b"." + name + b"=" + value
            if self.odd():
                text = self.one((b"a.b = c ", b" a.b=c", b"a.b.c=d", b"a.b=\n"))
            if self.wrong(0.05):
                text = self.one((b"", b"a", b"a.b", b"a=b", b".b=c", b"a.=c"))
            # No argument can hold a NUL byte.
            text = text.replace(b"\0", b"")
            if self.chance(0.5):
                options += [b"--config", text]
            else:
                options.append(b"--config=" + text)
        return options

    def selection(self) -> list[bytes]:
        """Which sections and items to show."""
        chosen: list[bytes] = []
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3))):
            choices = self.items if self.chance(0.5) else self.sections
            if not choices or self.chance(0.1):
                choices = [b"ui", b"none", b"ui.editor", b"none.none", b"."]
            chosen.append(self.one(choices).replace(b"\0", b""))
        return [word for word in chosen if not word.startswith(b"-")]

    def commands(self, repositories: list[bytes]) -> tuple[bytes, list[bytes]]:
        """The working directory, and the global options."""
        where = [b"", b"repo", b"repo/sub", b"repo/sub/dir", b"home", b"repo"]
        cwd = self.one(where)
        options = self.overrides()
        if self.chance(0.2):
            up = b"/".join([b".."] * len(cwd.split(b"/"))) if cwd else b"."
            good = (up + b"/repo", ROOT + b"/repo", up + b"/repo/sub/..")
            others = (
                *(ROOT + b"/other", b"none", b"default", b"other", b"repo", up),
                *(b"", b".", ROOT + b"/repo/sub", b"sub", b"~/../repo"),
                *(b"$ROOT/repo", b"file:" + ROOT + b"/repo", b"file:none"),
                *(b"file://" + ROOT + b"/repo",),
            )
            repository = self.one(good if self.chance(0.6) else others)
            flag = self.one((b"-R", b"--repository"))
            options += [flag, repository]
        if self.chance(0.1):
            there = b"none" if self.wrong(0.3) else ROOT + b"/repo"
            options += [b"--cwd", there if self.chance(0.7) else b"."]
        return cwd, options

    def tree(self) -> Tree:
        # An error hides what comes after it: most trees have none.
        self.oddness = self.random.choice((0.0, 0.02, 0.1, 0.3))
        self.faulty = self.chance(0.35)
        foreign = self.random.choice((0.0, 0.0, 0.3, 0.8))
        self.trusting = foreign > 0
        self.environment()
        self.entries[b"home"] = Directory()
        self.included(foreign)
        self.files_of_the_user()
        repositories = self.repositories(foreign)
        cwd, options = self.commands(repositories)
        flags = [
            flag for flag in (b"--source", b"--untrusted") if self.chance(0.6)
        ]
        commands = [[b"config", *flags]]
        if self.chance(0.1):
            commands.append([b"config", b"-T", b"json", *flags[1:]])
        elif self.chance(0.4):
            commands.append([b"config", *flags[:1], *self.selection()])
        return Tree(
            self.entries,
            self.env,
            cwd,
            tuple((*command, *options) for command in commands),
        )


def make(seed: int, owners: bool) -> Tree:
    """The tree of this seed; owners says whether files may be others'."""
    return Maker(random.Random(f"config {seed}"), owners).tree()
