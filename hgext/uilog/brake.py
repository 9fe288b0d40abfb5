# brake.py - whether uilog is switched off, and by what
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the emergency brake: UILOG=off, and enabled = no in [uilog]

Evaluated before any other part of uilog is loaded, above all the native
module, because that may be broken. So this module must not import any of
them, and of Mercurial only what every command has loaded anyway. It is loaded
only if the variable or the item is set, or for rare cases that `events` leaves
to it.
"""

from __future__ import annotations

from mercurial import encoding

from . import (
    BRAKE_ITEM as ITEM,
    BRAKE_SECTION as SECTION,
    BRAKE_VARIABLE,
    CHG_VARIABLE,
    STOCK,
)

VARIABLE = BRAKE_VARIABLE.encode()

# hg: stringutil._booleans
_OFF = (b'0', b'no', b'false', b'off', b'never')
_ON = (b'1', b'yes', b'true', b'on', b'always')

# What switched this process off when hg set up its extensions. It stays
# off, because nothing was prepared for logging.
_ofprocess = None


def uisetup(ui):
    """whether uilog is off for this whole process"""
    global _ofprocess
    cause = _causeof(ui)
    if CHG_VARIABLE.encode() in encoding.environ and not _separateservers():
        # If servers cannot be separated, each must serve all clients.
        return False
    _ofprocess = cause
    return cause is not None


def cause(ui):
    """what switches uilog off for this ui, or None"""
    return _ofprocess or _causeof(ui)


def _causeof(ui):
    value = encoding.environ.get(VARIABLE)
    if value is not None and value.lower() in _OFF:
        return b'%s=%s in the environment' % (VARIABLE, value)
    # Not ui.config, because the items are not registered yet.
    value = dict(ui.configitems(SECTION)).get(ITEM)
    # hg: an extension may have set a boolean
    if value is False:
        value = b'no'
    if isinstance(value, bytes) and value.lower() in _OFF:
        source = ui.configsource(SECTION, ITEM)
        return b'%s.%s = %s (%s)' % (SECTION, ITEM, value, source)
    return None


def note(ui, event, depth, offdepths):
    """note whether the command that begins at this depth is switched off"""
    if event == b'command' and cause(ui) is not None:
        offdepths.add(depth)
    elif event == b'commandfinish':
        offdepths.discard(depth)


def ofserver(ui, items, scripts):
    """the items of both sections that are those of a chg server

    chg gives the server that it starts the options of the command that it was
    called for: they are for that command alone.
    """
    return [
        [it for it in pairs if ui.configsource(section, it[0]) != b'--config']
        for section, pairs in ((SECTION, items), (STOCK, scripts))
    ]


def variableproblem():
    """what is wrong with the variable's value, or None"""
    value = encoding.environ.get(VARIABLE)
    if not value or value.lower() in _OFF + _ON:
        return None
    return b"%s=%s is invalid, uilog is on" % (VARIABLE, value)


def _separateservers():
    """let chg use separate servers for commands without uilog

    Returns whether that works.

    A server keeps what its extensions were set up with, so one that was
    started for such a command would log no other client's either.
    """
    from mercurial import chgserver

    confighash = getattr(chgserver, '_confighash', None)
    hashlist = getattr(chgserver, '_hashlist', None)
    if not callable(confighash) or not callable(hashlist):
        return False

    def hashed(ui):
        digest = confighash(ui)
        if _causeof(ui) is None:
            return digest
        return hashlist([digest, VARIABLE])[: len(digest)]

    chgserver._confighash = hashed
    return True
