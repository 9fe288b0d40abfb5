# session.py - what an hg process is, and who runs it
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the event `session`: versions, extensions, and who runs hg

Once for each process, and only if it is tracked by name: most of it
is the same for all commands of a machine, and it is the most expensive event.
"""

from __future__ import annotations

import os
import sys

from mercurial import extensions, policy, util

from . import _native, tryto

# Maximum number of extensions.
MAX_EXTENSIONS = 200


# Which process has told what it is: a forked one has a session of its own.
_told = 0


def tell(ui):
    """log the event, once"""
    global _told
    if _told == os.getpid():
        return
    _told = os.getpid()
    opts = {
        'hg_version': util.version(),
        'python_version': b'%d.%d.%d' % sys.version_info[:3],
        'uilog_version': _native.VERSION.encode(),
        'modules': _modules(),
        'extensions': _extensions(),
        'container': _native.is_in_container(),
    }
    tryto(_addsystem, opts)
    tryto(_addstarter, opts)
    ui.log(
        b'session',
        b'hg %s on Python %s with uilog %s\n',
        opts['hg_version'],
        opts['python_version'],
        opts['uilog_version'],
        **opts,
    )


def _modules():
    """the language of the native modules that Mercurial uses"""
    # hg: policy.importrust returns a default where there are none
    if policy.importrust('revlog') is not None:
        return b'rust'
    module = policy.importmod('parsers')
    ispure = module.__name__.startswith('mercurial.pure')
    return b'py' if ispure else b'c'


def _extensions():
    """the enabled extensions with their versions"""
    versions = []
    for name, module in sorted(extensions.extensions()):
        version = b'internal'
        if not extensions.ismoduleinternal(module):
            version = extensions.moduleversion(module) or b'unknown'
        # Its author chose its version.
        versions.append(b'%s=%s' % (name, b''.join(version.split())[:40]))
    return b' '.join(versions[:MAX_EXTENSIONS])


def _addsystem(opts):
    system = os.uname()
    opts['os_name'] = system.sysname.lower().encode()
    opts['os_version'] = system.release.encode()


def _addstarter(opts):
    isused = any(map(_isterminal, range(3)))
    opts['terminal'] = isused
    kind, name = _native.starter(isused, _hasterminal())
    if kind is not None:
        opts['starter'] = kind.encode()
    if name is not None:
        opts['starter_name'] = name.encode()


def _isterminal(fd):
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _hasterminal():
    """whether there is a terminal that the process could open"""
    try:
        os.close(os.open('/dev/tty', os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
