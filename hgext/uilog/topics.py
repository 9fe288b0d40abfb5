# uilog - event logging that a command never notices
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the topics of `hg help uilog`

Loaded with Mercurial's own help, which few commands load.
"""

from __future__ import annotations

import functools

from . import helptexts

NAME = b'uilog'


def add(help):
    """add a sub-topic for each text, as `hg help uilog.TOPIC` shows it"""
    help.subtopics[NAME] = [
        (
            [name.encode() for name in names],
            title.encode(),
            functools.partial(_text, text),
        )
        for names, title, text in helptexts.TEXTS
    ]


def _text(text, ui):
    return text.encode()
