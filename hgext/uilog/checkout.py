# checkout.py - what hg knows of a repository and its working directory
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""the URL and the current revision of a repository

Only uses what hg has in memory. Must not read files; what hg has not
read is unknown.
"""

from __future__ import annotations

from . import repos


def url(repo):
    """the URL of a repository's origin"""
    return repo.unfiltered().ui.config(b'paths', b'default')


def head(root):
    """the bookmark or branch, and the node, of the working directory"""
    repo = repos.get(root)
    attributes = vars(repo) if repo is not None else {}
    dirstate = attributes.get('dirstate')
    fields = vars(dirstate) if dirstate is not None else {}
    name = getattr(attributes.get('_bookmarks'), 'active', None)
    if name is None:
        name = fields.get('_branch')
    parents = getattr(fields.get('_map'), '_parents', None)
    if parents:
        node = parents[0]
    else:
        # hg: localrepo._quick_access_changeid_wc, revision numbers and nodes
        quick = attributes.get('_quick_access_changeid_wc') or {}
        node = quick.get(b'.', (None, None))[1]
    return name, node if node and any(node) else None
