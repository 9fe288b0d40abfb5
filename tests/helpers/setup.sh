# shellcheck shell=sh
#
# What the .t files share; each begins with
#
#   . "$TESTDIR/helpers/setup.sh"
#
# Switches uilog on, gives failures a journal of the test's own, and defines
# how to wait: for a condition, with a deadline that only a hang reaches.

unset XDG_STATE_HOME UILOG UILOG_SESSION UILOG_TRUNCATED
mkdir -p "$TESTTMP/got"
got="$TESTTMP/got"
helpers="$TESTDIR/helpers"
export got helpers

# Of its own: queues, pages and agents of other tests lie elsewhere.
XDG_RUNTIME_DIR="$TESTTMP/.run"
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"

# An agent ends with what it has to do, so that `settled` waits for records, too.
cat >> "$HGRCPATH" << END
[uilog]
agent-idle = 0
[extensions]
uilog =
END

# wait_for COMMAND...: until it succeeds
wait_for() {
    "$PYTHON" -IS "$helpers/wait_for.py" "$@"
}

# wait_lines N FILE: until the file has that many lines
wait_lines() {
    wait_for --lines "$1" "$2"
}

# settled: until no process of this test is left. All scripts have then run:
# their dispatcher ends last.
settled() {
    "$PYTHON" -IS "$helpers/processes.py" wait
}

# dispatchers: the process ids of this test's dispatchers
dispatchers() {
    "$PYTHON" -IS "$helpers/processes.py" dispatchers
}

# environ FILE NAME...: the named variables of an environment that a script
# has saved by `save_environ`
environ() {
    "$PYTHON" -IS "$helpers/environ.py" "$@"
}

# What a script does to save the environment that it was started with, also
# what no shell can name, as $got/$EVENT.
# shellcheck disable=SC2016,SC2034
save_environ='cat /proc/$$/environ > "$got/$EVENT.new"; mv "$got/$EVENT.new" "$got/$EVENT"'
