# shellcheck shell=sh
# What scripts share that tests have hg run as ssh: `. ssh.sh` with the
# arguments HOST and COMMAND.

# Whatever the server logs is none of the test's.
HGRCPATH=/dev/null
export HGRCPATH

command=$2

# Answers hg until it has no more to ask, or dies at the command named.
serve() {
    "$PYTHON" -IS "$HELPERS/wireserver.py" "$@"
}

# The command that ssh is asked for: hg as a server.
serve_really() {
    sh -c "$command"
}

# Adds this process to those that have come to a point.
mark() {
    echo $$ >> "$OUT/$1"
}

# Leaves a process behind that holds standard error until it is let go.
hold() {
    sh "$HELPERS/hold.sh" </dev/null >/dev/null &
    while test -d "$OUT" && ! grep -qx "$!" "$OUT/holders" 2>/dev/null; do
        sleep 0.01
    done
}

# Goes on until it is let go, whatever becomes of hg.
go_on() {
    while test -d "$OUT" && ! test -e "$OUT/go"; do
        sleep 0.05
    done
}
