#!/bin/sh
# in_root.sh ROOT COMMAND...: runs a command with another distribution's root,
# in the same directory, with our /tmp and the tree of this project where they
# are here. Only root can. The mounts end with the command.
set -eu
project=$(cd "$(dirname "$0")/../.." && pwd -P)
root=$1
shift
mkdir -p "$root$project" "$root/tmp"
# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -c '
    root=$1 project=$2 cwd=$3
    shift 3
    mount --rbind /dev "$root/dev"
    mount --rbind /proc "$root/proc"
    mount --rbind /tmp "$root/tmp"
    mount --rbind "$project" "$root$project"
    exec chroot "$root" env -C "$cwd" "$@"
' in_root "$root" "$project" "$PWD" "$@"
