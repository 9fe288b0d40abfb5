# wraps.py - putting our functions in the place of Mercurial's
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""wrapping what another version of Mercurial may lack

Every function of Mercurial's that uilog wraps is wrapped here. If there is no
such function, the part of uilog that needs it is off, and all else works:
`hg debuguilog` names what is off, and so does --debug.

Knows nothing of what the wrappers do.
"""

from __future__ import annotations

import importlib
import sys

from mercurial import extensions

from . import _native

# hg: demandimport makes lazy modules with importlib's LazyLoader
LAZY = '_LazyModule'

# What is off: its part, and what it lacks.
_off: list = []

# Functions that wrap what is in modules which are not loaded yet.
_pending: list = []


def wrap(part, *wrapped):
    """wrap functions, each a container, a name and a wrapper

    All of them, or none if one is missing: then this part is off. Whether
    they are wrapped.
    """
    try:
        for container, name, _wrapper in wrapped:
            if not callable(getattr(container, name, None)):
                return off(part, _problem(container, name))
        for container, name, wrapper in wrapped:
            extensions.wrapfunction(container, name, wrapper)
    except Exception as err:
        _native.internal_fault(err)
        return off(part, str(err))
    return True


def function(part, container, name):
    """the function or class of this name; None, and the part is off, if there
    is none"""
    value = getattr(container, name, None)
    if callable(value):
        return value
    off(part, _problem(container, name))
    return None


def module(part, name):
    """a module of Mercurial's; None, and the part is off, if that is missing"""
    full = 'mercurial.' + name
    try:
        # To import once more what hg has imported lazily would load it.
        return sys.modules.get(full) or importlib.import_module(full)
    except Exception as err:
        off(part, '%s is missing: %s' % (name, err))
        return None


def off(part, problem):
    """note that a part is off"""
    if (part, problem) not in _off:
        _off.append((part, problem))
        _native.part_off('off: %s (%s)' % (part, problem))
    return False


def whatisoff():
    """the parts that are off, each with what it lacks"""
    return list(_off)


def _problem(container, name):
    label = _label(container) + '.' + name
    if getattr(container, name, None) is None:
        return label + ' is missing'
    return label + ' is no function'


def _label(container):
    if isinstance(container, type):
        label = '%s.%s' % (container.__module__, container.__qualname__)
    else:
        label = container.__name__
    return label.removeprefix('mercurial.')


def whenloaded(part, lazy, func):
    """call func with a module as soon as it is more than a promise"""
    if type(lazy).__name__ != LAZY:
        tryto(func, lazy)
        return
    try:
        spec = object.__getattribute__(lazy, '__spec__')
        loader = spec.loader
        spec.loader = _Loader(loader, func)
        _pending.append(lazy)
    except Exception as err:
        off(part, 'cannot tell whether %r is loaded: %s' % (lazy, err))


def loadall():
    """load what we wait for: only then is it known what is missing"""
    for lazy in _pending:
        tryto(getattr, lazy, '__name__')
        # An attribute that importlib itself sets does not load a module.
        tryto(getattr, lazy, '__doc__')
    del _pending[:]


class _Loader:
    def __init__(self, loader, func):
        self.loader = loader
        self.func = func

    def exec_module(self, module):
        module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        tryto(self.func, module)


def tryto(func, *args):
    """call what must not make a command fail"""
    try:
        func(*args)
    except Exception as err:
        _native.internal_fault(err)
