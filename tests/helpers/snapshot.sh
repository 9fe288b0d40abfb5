#!/bin/sh
# What a script of an event does to describe itself, completely, in a file:
#
#   snapshot.sh FILE
#
# A shell begins, because Python changes its own signals when it starts.

grep -E '^(Sig(Blk|Ign)|Groups|Uid|Gid):' /proc/self/status > "$1.status"
exec "$PYTHON" "$(dirname "$0")/snapshot.py" "$1"
