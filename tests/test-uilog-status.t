`uilog status` shows the dispatchers that run, and what has gone wrong.

  $ . "$TESTDIR/helpers/setup.sh"
  $ hg init repo
  $ cd repo

Other tests have dispatchers, too: only what is this test's is looked at, and
where their state counts it is waited for.

  $ cat > $TESTTMP/own.py << 'END'
  > import re, sys
  > own = sys.argv[1:]
  > is_shown = True
  > for line in sys.stdin:
  >     dispatcher = re.match(r'  (\d+)  ', line)
  >     if not line.startswith(' '):
  >         is_shown = True
  >     elif dispatcher is not None:
  >         is_shown = dispatcher[1] in own
  >     if is_shown and 'of other users' not in line:
  >         sys.stdout.write(line)
  > END
  $ status() {
  >     uilog status "$@" > $TESTTMP/status
  >     status=$?
  >     "$PYTHON" $TESTTMP/own.py `dispatchers` < $TESTTMP/status |
  >         sed -e "s#`command -v uilog`#UILOG#" -e 's/[0-9]* bytes$/N bytes/' \
  >             -e 's/for [0-9.]* s$/for T/' -e 's/^  [0-9]*  UI/  PID  UI/' \
  >             -e 's/: [0-9]*  /: PID  /' -e 's/^Dispatchers: none/Dispatchers/' \
  >             -e 's/20[0-9-]*T[0-9:.]*+00:00/TIME/' \
  >             -e "s#PID  .*/python[0-9.]* .*/hg#PID  HG#"
  >     return $status
  > }

Nothing

  $ status > $TESTTMP/out || wait_for uilog status > $TESTTMP/waited
  $ cat $TESTTMP/out
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 0 failures

The dispatcher that `uilog check` starts to see whether that works is no news.

  $ uilog check > $TESTTMP/out
  $ uilog status | "$PYTHON" $TESTTMP/own.py `dispatchers` | head -2
  Dispatchers.* (re)
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl

A dispatcher whose hg and whose script wait for the test
========================================================

  $ mkfifo $got/script $got/hook
  $ exec 8<> $got/hook 9<> $got/script
  $ cat >> $HGRCPATH << 'END'
  > [logtoprocess]
  > command = echo $$ >> $got/begun; read line < $got/script
  > commandfinish = true
  > [uilog]
  > max-scripts = 1
  > END
  $ hg root --config 'hooks.pre-root=read line < $got/hook' > $TESTTMP/out 8>&- 9>&- &
  $ wait_for grep -q . $got/begun
  $ dispatcher=`dispatchers`
  $ cat > $TESTTMP/started.py << 'END'
  > import json, subprocess, sys
  > status = json.loads(subprocess.check_output(
  >     ['sh', '-c', 'uilog status -T json || true']))
  > own = [it for it in status['dispatchers'] if it['pid'] == int(sys.argv[1])]
  > sys.exit(0 if own and own[0]['started'] else 1)
  > END
  $ wait_for "$PYTHON" $TESTTMP/started.py $dispatcher
  $ status || :
  Dispatchers
    PID  UILOG-dispatcher, for T
      hg: PID  HG root --config hooks.pre-root=read line < $got/hook
      events: 0 waiting, 1 taken, 1 in all; queue: N bytes
      scripts: 1 started, 0 succeeded, 0 failed, 0 timed out
      running: PID  command, for T
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 0 failures
  $ cat > $TESTTMP/show.py << 'END'
  > import json, sys
  > status = json.load(sys.stdin)
  > pid = int(sys.argv[1])
  > all = status.pop('dispatchers')
  > (dispatcher,) = [it for it in all if it['pid'] == pid]
  > (script,) = dispatcher.pop('scripts')
  > (hg,) = dispatcher.pop('hg')
  > for name, part in (
  >     ('dispatcher', dispatcher), ('script', script), ('hg', hg),
  >     ('status', status)
  > ):
  >     print(name, type(part).__name__)
  >     for key, value in part.items():
  >         if key in ('pid', 'age', 'queue_bytes', 'foreign', 'unreadable'):
  >             value = type(value).__name__
  >         print(' ', key, json.dumps(value))
  > END
  $ uilog status -T json | "$PYTHON" $TESTTMP/show.py $dispatcher |
  >     sed -e "s#`command -v uilog`#UILOG#"
  dispatcher dict
    pid "int"
    program "UILOG-dispatcher"
    age "float"
    stopped false
    protocol null
    events 1
    waiting 0
    taken 1
    started 1
    succeeded 0
    failed 0
    lost 0
    timed_out 0
    records_waiting 0
    records_done 0
    records_lost 0
    queue_bytes "int"
    last_failure null
  script dict
    pid "int"
    event "command"
    age "float"
  hg dict
    pid "int"
    command "*/hg root --config hooks.pre-root=read line < $got/hook" (glob)
  status dict
    switched_off []
    foreign "int"
    unreadable "int"
    journal {"path": "$TESTTMP/.local/state/uilog/failures.jsonl", "problem": null, "fallback": null, "lost": 0, "counts": {"config": 0, "failed": 0, "lost": 0, "not-started": 0, "peer": 0, "sink": 0, "timed-out": 0}, "failures": []}
    agents []
    queues []
    spools []
    losses []

hg has ended, and its last event waits.

  $ echo go >&8
  $ wait
  $ status || :
  Dispatchers
    PID  UILOG-dispatcher, for T
      hg: has ended
      events: 1 waiting, 1 taken, 2 in all; queue: N bytes
      scripts: 1 started, 0 succeeded, 0 failed, 0 timed out
      running: PID  command, for T
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 0 failures

The dispatcher is stopped.

  $ kill -STOP $dispatcher
  $ wait_for sh -c "grep -q '^State:.T' /proc/$dispatcher/status"
  $ status
  Dispatchers
    PID  UILOG-dispatcher, for T
      stopped by a signal: its scripts wait
      hg: has ended
      events: 1 waiting, 1 taken, 2 in all; queue: N bytes
      scripts: 1 started, 0 succeeded, 0 failed, 0 timed out
      running: PID  command, for T
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 0 failures
  [1]
  $ kill -CONT $dispatcher
  $ echo go >&9
  $ settled
  $ status > $TESTTMP/out || wait_for uilog status > $TESTTMP/waited
  $ cat $TESTTMP/out
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 0 failures

Two of them, whose scripts run one after the other

  $ rm $got/begun
  $ for number in 1 2; do hg root > $TESTTMP/out; done
  $ wait_lines 2 $got/begun
  $ uilog status --color always |
  >     "$PYTHON" $TESTTMP/own.py `dispatchers` | grep -c running
  2
  $ echo go >&9
  $ wait_for sh -c "test \`'$PYTHON' $helpers/processes.py dispatchers | wc -l\` = 1"
  $ echo go >&9
  $ settled

Structured sinks: their records are counted as well.

  $ hg root --config logtoprocess.command= --config logtoprocess.commandfinish= \
  >     --config uilog.agent=no --config uilog.sink.a=file:$TESTTMP/a \
  >     --config 'hooks.pre-root=read line < $got/hook' \
  >     > $TESTTMP/out 8>&- 9>&- &
  $ cat > $TESTTMP/records.sh << 'END'
  > uilog status |
  >     "$PYTHON" $TESTTMP/own.py `"$PYTHON" $helpers/processes.py dispatchers` |
  >     grep 'records: 0 waiting, [1-9]'
  > END
  $ wait_for sh $TESTTMP/records.sh
      records: 0 waiting, [1-9][0-9]* done (re)
  $ echo go >&8
  $ settled

The journal
===========

  $ hg root --config 'logtoprocess.command=exit 3' \
  >     --config logtoprocess.commandfinish=no-such-program > $TESTTMP/out
  $ settled
  $ status
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 2 failures
    TIME  failed  command  exit status 3
      defined at: --config
      repository: $TESTTMP/repo
      directory: $TESTTMP/repo
      duration: *.??? s (glob)
    TIME  failed  commandfinish  exit status 127: the script was not found
      defined at: --config
      repository: $TESTTMP/repo
      directory: $TESTTMP/repo
      duration: *.??? s (glob)
      stderr: *no-such-program*not found* (glob)
  [1]
  $ uilog status -T json | grep -A8 counts
      "counts": {
        "config": 0,
        "failed": 2,
        "lost": 0,
        "not-started": 0,
        "peer": 0,
        "sink": 0,
        "timed-out": 0
      },
  $ printf '{"time":"2026-01-01T00:00:00.000000+00:00","session":"x",' \
  >     > $TESTTMP/line
  $ printf '"event":"","kind":"lost","lost":7,"detail":"made\\u001b[31m up"}\n' \
  >     >> $TESTTMP/line
  $ for number in 0 1 2 3 4 5 6 7 8 9; do
  >     cat $TESTTMP/line >> ~/.local/state/uilog/failures.jsonl
  > done
  $ status > $TESTTMP/out
  [1]
  $ grep -v '^    ' $TESTTMP/out
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    70 events lost, 12 failures
    TIME  lost  (70 events)  made\u{1b}[31m up  (10 times)
    TIME  failed  command  exit status 3
    TIME  failed  commandfinish  exit status 127: the script was not found
  Lost, by cause
    70: made\u{1b}[31m up (journal)
  $ for number in 0 1 2 3 4 5 6 7 8 9; do
  >     sed "s/up/up $number/" $TESTTMP/line \
  >         >> ~/.local/state/uilog/failures.jsonl
  > done
  $ status | grep -v '^    ' | sed 5,14d
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    140 events lost, 22 failures
    the last 10 kinds:
  Lost, by cause
    70: made\u{1b}[31m up (journal)
    7: made\u{1b}[31m up 0 (journal)
    7: made\u{1b}[31m up 1 (journal)
    7: made\u{1b}[31m up 2 (journal)
    7: made\u{1b}[31m up 3 (journal)

Who has seen them may say so.

  $ uilog journal forget
  22 failures forgotten
  $ uilog journal
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    0 events lost, 0 failures
  $ cat $TESTTMP/line >> ~/.local/state/uilog/failures.jsonl
  $ uilog journal
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    7 events lost, 1 failure
    2026-01-01T00:00:00.000000+00:00  lost  (7 events)  made\u{1b}[31m up
  [1]
  $ uilog journal forget
  1 failure forgotten

A directory that others may write to is not used: what stands there may be
anybody's. Another one is.

  $ chmod 777 ~/.local/state
  $ hg root --config 'logtoprocess.command=exit 3' \
  >     --config logtoprocess.commandfinish= > $TESTTMP/out
  $ settled
  $ status > $TESTTMP/out
  [1]
  $ grep -v '^    ' $TESTTMP/out
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    cannot be used: $TESTTMP/.local/state: other users may write there
    meanwhile: */failures-*.jsonl (glob)
    0 events lost, 1 failure
    TIME  failed  command  exit status 3
  $ hg debuguilog --config logtoprocess.command= \
  >     --config logtoprocess.commandfinish= | sed -n '/^journal/,$p' |
  >     grep -v '^    '
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    cannot be used: $TESTTMP/.local/state: other users may write there
    meanwhile: */failures-*.jsonl (glob)
    failures: 1
    events lost: 0
    ????-??-??T??:??:??.??????+00:00 failed command exit status 3 (glob)
  $ settled
  $ uilog journal forget
  1 failure forgotten
  $ rm `uilog status -T json | sed -n 's/.*"fallback": "\(.*\)".*/\1/p'`
  $ chmod 755 ~/.local/state
  $ rm -r ~/.local/state/uilog
  $ mkdir -p ~/.local/state/uilog/failures.jsonl
  $ status
  Dispatchers
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl
    cannot be used: $TESTTMP/.local/state/uilog/failures.jsonl: it is not a regular file
    meanwhile: */failures-*.jsonl (glob)
    0 events lost, 0 failures
  [1]
  $ rm -r ~/.local/state/uilog
  $ HOME= status || :
  Dispatchers
  Journal: */failures-*.jsonl (glob)
    cannot be used: neither HOME nor XDG_STATE_HOME names a directory
    meanwhile: */failures-*.jsonl (glob)
    0 events lost, 0 failures
