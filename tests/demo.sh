#!/bin/sh
# Shows uilog on a real repository: a script that records each command, what the
# script received, and the cost for hg, compared with stock hg.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

export HOME="$work" HGRCPATH="$work/hgrc" HGUSER='demo'
unset HGPLAIN HG HGEDITOR

cat > record-command <<'EOF'
#!/bin/sh
# One file for each event, complete once it has its name.
{
  echo "$MSG1"
  env | grep -E '^(EVENT|HGPID|OPT_|UILOG_)' | sort
} > "$HOME/record.$HGPID.new"
mv "$HOME/record.$HGPID.new" "$HOME/record.$HGPID"
EOF
chmod +x record-command

cat > hgrc <<EOF
[extensions]
uilog =
[logtoprocess]
commandfinish = $work/record-command
EOF

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

say 'Four commands:'
run() { echo "\$ hg $*"; hg "$@"; }
run init repository
cd repository
echo hello > greeting
run commit --addremove --message 'say hello'
run log --template '{rev}: {desc}\n'
run update --rev nowhere || echo "(exit status $?; this is logged as well)"
cd ..
await_records 4

say 'What the script received for each (the last one in full):'
# UILOG_TIME, which sorts as text, tells the order.
grep -H UILOG_TIME record.*[0-9] | sort -t= -k2 | cut -d: -f1 > order
head -n 3 order | while read -r record; do
  sed -n '1s/^/  /p' "$record"
done
sed 's/^/  /' "$(tail -n 1 order)"

say "What logging cost hg: time inside ui.log, median of 15 commands"
cat > cost.py <<'EOF'
"""tells how long ui.log takes for the end of a command, and for one more"""
import time

from mercurial import extensions, ui as uimod


def uisetup(ui):
    extensions.wrapfunction(uimod.ui, 'log', log)


def timed(func, *args, **opts):
    begin = time.perf_counter()
    func(*args, **opts)
    return round((time.perf_counter() - begin) * 1e6)


def log(orig, ui, event, *args, **opts):
    first = timed(orig, ui, event, *args, **opts)
    if event == b'commandfinish':
        with open('cost', 'w') as fp:
            print(first, timed(orig, ui, b'another', b'event\n'), file=fp)
EOF
# measure NAME OPTION...: appends both to costs.NAME
measure() {
  name=$1
  shift
  hg -R repository --config extensions.cost="$work/cost.py" \
    --config logtoprocess.commandfinish=true \
    --config logtoprocess.another=true "$@" id > id.out
  cat cost >> "costs.$name"
}
# median NAME COLUMN
median() { cut -d' ' -f"$2" "costs.$1" | sort -n | sed -n 8p; }
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  measure uilog
  measure stock --config extensions.uilog=! --config extensions.logtoprocess=
done
# row TITLE COLUMN
row() {
  awk -v title="$1" -v stock="$(median stock "$2")" \
    -v ours="$(median uilog "$2")" 'BEGIN {
      printf "  %-14s  stock %5d us   uilog %4d us   %.1f times less\n",
        title, stock, ours, stock / ours }'
}
row 'first event' 1
row 'another one' 2
echo "  (the first one starts the dispatcher; make bench measures the rest)"

say 'What hg debuguilog shows:'
hg debuguilog | sed 's/^/  /'
# Its own record, too, or it would come while we clean up.
await_records 5
