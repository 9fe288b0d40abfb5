#!/bin/sh
# Shows uilog on a real repository: a script that records each command, what it
# received, why a command has failed, the report, and the cost of a whole command
# compared with stock hg. DEMO_RUNS sets how often each command is timed.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

export HOME="$work" HGRCPATH="$work/hgrc" HGUSER='demo' COLUMNS=80
export XDG_STATE_HOME="$work/state" XDG_RUNTIME_DIR="$work/run"
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset HGPLAIN HG HGEDITOR

cat > record-command <<'END'
#!/bin/sh
# One file for each event, complete once it has its name.
{
  echo "$MSG1"
  env | grep -E '^(EVENT|HGPID|OPT_|UILOG_)' | sort
} > "$HOME/record.$HGPID.new"
mv "$HOME/record.$HGPID.new" "$HOME/record.$HGPID"
END
chmod +x record-command

cat > no-tabs <<'END'
#!/bin/sh
! hg cat --rev "$HG_NODE" greeting | grep -q "$(printf '\t')" ||
  { echo 'no-tabs: a line of greeting has a tab' >&2; exit 1; }
END
chmod +x no-tabs

cat > hgrc <<END
[extensions]
uilog =
[logtoprocess]
commandfinish = $work/record-command
[uilog]
history = yes
[hooks]
pretxncommit.no-tabs = $work/no-tabs
END

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

# Waits until as many records are there as commands were run.
await_records() {
  tries=0
  while [ "$(find . -maxdepth 1 -name 'record.*[0-9]' | wc -l)" -lt "$1" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 1000 ]; then
      echo "only these records have come:" >&2
      ls record.* >&2
      exit 1
    fi
    sleep 0.01
  done
}

say 'The whole configuration:'
cat hgrc

say 'Some commands:'
run() { echo "\$ hg $*"; hg "$@"; }
run init repository
cd repository
echo hello > greeting
run commit --quiet --addremove --message 'say hello'
printf 'hello\tworld\n' > greeting
run commit --message 'say more' || echo "(exit status $?)"
run update --rev nowhere || echo "(exit status $?)"
cd ..
# The hook has run hg, too.
await_records 6
uilog flush > flushed || { cat flushed >&2; exit 1; }

say 'What the script received for the last one:'
# UILOG_TIME, which sorts as text, tells the order.
grep -H UILOG_TIME record.*[0-9] | sort -t= -k2 | cut -d: -f1 > order
sed 's/^/  /' "$(tail -n 1 order)"

say 'Which commands have failed, and why (uilog log --failed):'
uilog log --failed | tee failed | sed 's/^/  /'
grep -q 'no-tabs' failed

say 'What the refused commit spent its time on (uilog trace last):'
uilog trace last --command commit | sed 's/^/  /'

say 'The report (uilog report):'
uilog report | tee report | sed 's/^/  /'
grep -q 'commit' report

say "What logging costs: the whole of 'hg id', median of ${DEMO_RUNS:=15} runs"
cat > cost.py <<'END'
"""prints how long a command takes without logging, with the stock extension,
and with uilog"""
import statistics
import subprocess
import sys
import time

hg = ['hg', '-R', 'repository', '--config', 'hooks.pretxncommit.no-tabs=']
off = ['--config', 'extensions.uilog=!']
kinds = {
    'no logging': off,
    'stock logtoprocess': [*off, '--config', 'extensions.logtoprocess='],
    'uilog': [],
}
times = {kind: [] for kind in kinds}
for _ in range(int(sys.argv[1])):
    for kind, options in kinds.items():
        begin = time.perf_counter()
        script = ['--config', 'logtoprocess.commandfinish=true']
        subprocess.run([*hg, *script, *options, 'id', '-q'], check=True,
                       stdout=subprocess.DEVNULL)
        times[kind].append(time.perf_counter() - begin)
base = statistics.median(times['no logging'])
for kind, each in times.items():
    median = statistics.median(each)
    print('  %-20s %6.1f ms  %+5.1f ms'
          % (kind, median * 1000, (median - base) * 1000))
END
python3 cost.py "$DEMO_RUNS"
echo '  (make bench measures the rest)'

say 'What is running, lost or failed (uilog status):'
uilog flush > flushed || { cat flushed >&2; exit 1; }
uilog status | sed 's/^/  /'
# Nothing may write while the directory is removed.
uilog agent stop > stopped
