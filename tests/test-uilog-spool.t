What waits for a collector: `uilog spool`.

  $ . "$TESTDIR/helpers/setup.sh"
  $ mkdir $TESTTMP/collector
  $ answer() {
  >     echo "$*" > $TESTTMP/collector/answer.new
  >     mv $TESTTMP/collector/answer.new $TESTTMP/collector/answer
  > }
  $ answer 503 down for repair

(Without HOME it is none of the processes that `settled` waits for.)

  $ HOME= "$PYTHON" "$helpers/receiver.py" $TESTTMP/collector \
  >     > $TESTTMP/receiver.out 2>&1 &
  $ wait_for test -e $TESTTMP/collector/port
  $ port=`cat $TESTTMP/collector/port`
  $ cat >> $HGRCPATH << END
  > [uilog]
  > sink.fleet = otlp:http://127.0.0.1:$port
  > sink.fleet:track = commandfinish, backup
  > END
  $ shown() {
  >     sed -e "s/:$port/:PORT/g" -e 's/[0-9]* bytes/N bytes/' \
  >         -e 's/for [0-9.]* s/for T/' -e 's/[0-9]* failures*$/N failures/' \
  >         -e 's/: in [0-9.]* s/: in T/' -e 's/: with the next record/: in T/'
  > }

Nothing yet; and nothing is made by looking.

  $ uilog spool | shown
  Spools: $TESTTMP/.local/state/uilog/spool
    fleet  otlp:http://$LOCALIP:PORT
      waiting: 0 records
      sent: 0 records
  $ ls $TESTTMP/.local/state/uilog
  ls: cannot access '$TESTTMP/.local/state/uilog': No such file or directory
  [2]
  $ uilog spool flush
  fleet: 0 records sent

A collector that accepts nothing
==============================

No command waits for it, and what it is to get stays.

  $ hg init repo
  $ cd repo
  $ settled
  $ hg root
  $TESTTMP/repo
  $ hg root
  $TESTTMP/repo
  $ settled
  $ uilog spool > $TESTTMP/out
  [1]
  $ shown < $TESTTMP/out
  Spools: $TESTTMP/.local/state/uilog/spool
    fleet  otlp:http://$LOCALIP:PORT
      waiting: 3 records, N bytes, the oldest for T
      sent: 0 records
      next attempt: in T, after N failures
        status 503: down for repair

What waits is shown like any other record.

  $ uilog log --columns name,exit
  init  0
  root  0
  root  0
  $ uilog export --format csv --columns event,name
  event,name
  commandfinish,init
  commandfinish,root
  commandfinish,root
  $ ls -ld $TESTTMP/.local/state/uilog/spool/fleet | cut -c 1-10
  drwx------
  $ uilog spool -T json > $TESTTMP/out
  [1]
  $ "$PYTHON" -c 'import json, sys
  > (spool,) = json.load(sys.stdin)["spools"]
  > retry = spool.pop("retry")
  > print(retry["failures"] > 0, retry["due_in"] < 600, retry["reason"])
  > print(spool.pop("oldest") > 0, spool.pop("pending_bytes") > 0,
  >     spool.pop("file_bytes") > 0)
  > for key in ("url", "dir"):
  >     spool.pop(key)
  > print(spool)' < $TESTTMP/out
  True True status 503: down for repair
  True True True
  {'sink': 'fleet', 'exists': True, 'problem': None, 'pending': 3, 'sent': 0, 'evicted': 0, 'rejected': 0, 'rejected_kept': 0, 'reasons': [], 'damaged': 0, 'empty': 0, 'unreadable': 0, 'counts_lost': 0, 'held_back': 0, 'unsendable': None, 'warnings': [], 'sender': None, 'evictor': None}
  $ uilog status > $TESTTMP/out
  [1]
  $ sed -n '/^Spools/,/^Journal/p' $TESTTMP/out | shown
  Spools
    fleet: 3 records, N bytes, the oldest for T waiting
      delivery failing (status 503: down for repair): see `uilog spool`
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl

  $ uilog check > $TESTTMP/out
  [1]
  $ sed -n '/^Findings/,$p' $TESTTMP/out | \
  >     sed -E 's/once|[0-9]+ times in a row/N times/'
  Findings
    error: *: uilog.sink.fleet: delivery failing, N times: status 503: down for repair; 3 waiting (glob)
      retry now: uilog spool flush
    warning: *: nothing in Mercurial emits the event 'backup' (glob)
      ignore this if an extension of yours, or `uilog emit`, emits it
  1 error, 1 warning, 0 notes

Somebody asks for it by hand: what it answers is told.

  $ uilog spool flush
  fleet: 0 records sent
    3 records left: status 503: down for repair
  [1]

To look at what waits removes nothing.

  $ uilog spool export > $TESTTMP/waiting.jsonl
  $ "$PYTHON" "$helpers/records.py" $TESTTMP/waiting.jsonl event process.command
  commandfinish init
  commandfinish root
  commandfinish root
  $ uilog spool export fleet --output $TESTTMP/again.jsonl
  $ cmp $TESTTMP/waiting.jsonl $TESTTMP/again.jsonl
  $ ls -l $TESTTMP/again.jsonl | cut -c 1-10
  -rw-------
  $ uilog spool export --output $TESTTMP/again.jsonl
  uilog: create $TESTTMP/again.jsonl: File exists (os error 17)
  [1]

As OTLP's files: traces and logs.

  $ uilog emit backup 'it is done'
  $ settled
  $ uilog spool export --format otlp
  uilog: --format otlp writes two files: name a directory for them with -o
  [2]
  $ uilog spool export --format otlp -o $TESTTMP/otlp
  $ ls $TESTTMP/otlp
  logs.jsonl
  traces.jsonl
  $ cat > $TESTTMP/otlp.py << 'END'
  > import json, re, sys
  > for line in open(sys.argv[1]):
  >     data = json.loads(line)
  >     for resource in data['resourceSpans']:
  >         names = {it['key']: it['value']['stringValue']
  >                  for it in resource['resource']['attributes']}
  >         for scope in resource['scopeSpans']:
  >             for span in scope['spans']:
  >                 assert re.fullmatch('[0-9a-f]{32}', span['traceId'])
  >                 assert re.fullmatch('[0-9a-f]{16}', span['spanId'])
  >                 assert int(span['endTimeUnixNano']) > 10 ** 18
  >                 print(names['service.name'], span['name'])
  > for line in open(sys.argv[2]):
  >     data = json.loads(line)
  >     for resource in data['resourceLogs']:
  >         for scope in resource['scopeLogs']:
  >             for log in scope['logRecords']:
  >                 print(log['eventName'], log['body']['stringValue'])
  > END
  $ "$PYTHON" $TESTTMP/otlp.py $TESTTMP/otlp/traces.jsonl $TESTTMP/otlp/logs.jsonl
  hg hg init
  hg hg root
  hg hg root
  hg.backup it is done

It comes back
=============

  $ answer 200
  $ uilog spool flush
  fleet: 4 records sent
  $ "$PYTHON" "$helpers/records.py" $TESTTMP/waiting.jsonl id | sort > $TESTTMP/ids
  $ sort -u $TESTTMP/collector/ids | comm -23 $TESTTMP/ids -
  $ sort $TESTTMP/collector/ids | uniq -d
  $ sort -u $TESTTMP/collector/paths
  /v1/logs
  /v1/traces
  $ uilog spool | shown
  Spools: $TESTTMP/.local/state/uilog/spool
    fleet  otlp:http://$LOCALIP:PORT
      waiting: 0 records
      sent: 4 records
  $ uilog spool export

Commands send by themselves.

  $ hg root
  $TESTTMP/repo
  $ settled
  $ uilog spool | grep -e waiting -e sent
      waiting: 0 records
      sent: 5 records

It does not want what it gets
=============================

  $ answer 400 no such tenant
  $ hg root
  $TESTTMP/repo
  $ settled
  $ hg branch
  default
  $ settled
  $ uilog spool > $TESTTMP/out
  [1]
  $ shown < $TESTTMP/out
  Spools: $TESTTMP/.local/state/uilog/spool
    fleet  otlp:http://$LOCALIP:PORT
      waiting: 0 records
      sent: 5 records
      rejected: 2 records, 2 kept
        status 400: no such tenant
  $ uilog spool export
  $ uilog spool export --rejected > $TESTTMP/rejected.jsonl
  $ "$PYTHON" "$helpers/records.py" $TESTTMP/rejected.jsonl process.command
  root
  branch
  $ uilog status > $TESTTMP/out
  [1]
  $ grep -A 1 '^  fleet' $TESTTMP/out
    fleet: 0 records waiting
      2 rejected: see `uilog spool`, then `uilog spool forget`
  $ uilog check > $TESTTMP/out
  [1]
  $ grep -A 1 rejected $TESTTMP/out
    warning: *: uilog.sink.fleet: 2 rejected by the collector: status 400: no such tenant (glob)
      see `uilog spool`; once you know: uilog spool forget fleet

A sample goes the same way
==========================

(It is a warning that hg does not emit `backup`.)

  $ answer 200
  $ uilog check --run backup > $TESTTMP/out
  [1]
  $ grep -c error: $TESTTMP/out
  0
  [1]
  $ sed -n -e '/^sink/p' -e '/uilog_check/p' -e '/after/p' $TESTTMP/out | shown
  sink.fleet = otlp:http://$LOCALIP:PORT
          "uilog_check": true
    delivered after * s (glob)
  $ answer 503 not today
  $ uilog check --run backup > $TESTTMP/out
  [1]
  $ grep 'the sample of' $TESTTMP/out
    error: *:*: the sample of 'backup' for sink.fleet: waits in the spool: status 503: not today (glob)
  $ answer 400 never
  $ uilog check --run backup -T json > $TESTTMP/out
  [1]
  $ "$PYTHON" -c 'import json, sys
  > for it in json.load(sys.stdin)["tries"]:
  >     print(it["sink"], it["event"], it["fate"])' < $TESTTMP/out
  sink.fleet backup {'rejected': 'status 400: never'}

Sinks that are not configured here
==================================

  $ answer 503 down
  $ hg root --config uilog.sink.old=otlp:http://127.0.0.1:$port
  $TESTTMP/repo
  $ settled
  $ uilog spool > $TESTTMP/out
  [1]
  $ sed -n '/^  old/,$p' $TESTTMP/out | shown
    old  not configured here: not sent
      waiting: [0-9]+ records, N bytes, the oldest for T (re)
      sent: 0 records
      next attempt: in T, after N failures
        status 503: down
  $ uilog check > $TESTTMP/out
  [1]
  $ grep -A 1 "spool of 'old'" $TESTTMP/out
    note: $TESTTMP/.local/state/uilog/spool/old: a spool of 'old', a sink that is not configured here: * waiting (glob)
      see `uilog spool`
  $ uilog spool flush old > $TESTTMP/out
  [1]
  $ sed 's/[0-9]* records left/N records left/' $TESTTMP/out
  old: 0 records sent
    N records left: the sink is not configured here
  $ uilog spool export old | "$PYTHON" "$helpers/records.py" /dev/stdin event |
  >     grep finish
  commandfinish
  $ uilog spool flush nobody
  uilog: no sink 'nobody' has a spool; those that do: fleet, old
  [2]

What is known is not told of again
==================================

  $ answer 200
  $ uilog spool flush fleet > $TESTTMP/out
  $ rm -r $TESTTMP/.local/state/uilog/spool/old
  $ uilog spool > $TESTTMP/out
  [1]
  $ grep rejected $TESTTMP/out
      rejected: 4 records, 4 kept
  $ uilog spool forget
  $ uilog spool > $TESTTMP/out
  $ grep -e sent -e kept -e rejected $TESTTMP/out
      sent: [0-9]+ records (re)
      kept: 4 rejected records
  $ uilog status | sed -n '/^Spools/,/^Journal/p'
  Spools
    fleet: 0 records waiting
  Journal: $TESTTMP/.local/state/uilog/failures.jsonl

What comes after that is told of.

  $ answer 400 once more
  $ hg root
  $TESTTMP/repo
  $ settled
  $ uilog spool > $TESTTMP/out
  [1]
  $ grep -A 2 rejected $TESTTMP/out
      rejected: 1 record, 5 kept
        status 400: no such tenant
        status 400: never
  $ uilog spool forget fleet --rejected
  fleet: 5 rejected records removed
  $ uilog spool | grep -e kept -e rejected
  [1]
  $ uilog spool export --rejected
  $ uilog spool forget nobody
  uilog: no sink 'nobody' has a spool; those that do: fleet
  [2]

What was rejected is sent again
========================

  $ answer 400 a mistake of ours
  $ hg root
  $TESTTMP/repo
  $ settled
  $ uilog spool | grep -A 1 rejected
      rejected: 1 record, 1 kept
        status 400: a mistake of ours
  $ uilog spool requeue nobody
  uilog: no sink 'nobody' has a spool; those that do: fleet
  [2]
  $ uilog spool requeue fleet
  fleet: 1 rejected record requeued
  fleet: 0 records sent
    1 record rejected: status 400: a mistake of ours
  [1]
  $ answer 200
  $ uilog spool requeue
  fleet: 1 rejected record requeued
  fleet: 1 record sent
  $ uilog spool requeue
  fleet: 0 rejected records requeued
  $ uilog spool | grep -e waiting -e rejected
      waiting: 0 records

A collector without a pipeline for logs
=======================================

What it takes is sent once, whoever sends; the other signal waits.

  $ echo 404 > $TESTTMP/collector/answer.v1.logs
  $ rm $TESTTMP/collector/ids
  $ hg root
  $TESTTMP/repo
  $ uilog emit backup 'a log record'
  $ settled
  $ uilog spool flush
  fleet: 0 records sent
    1 record left: logs: status 404
  [1]
  $ hg root
  $TESTTMP/repo
  $ settled
  $ uilog spool > $TESTTMP/out
  [1]
  $ sed -n '/waiting/,$p' $TESTTMP/out | shown
      waiting: 1 record, N bytes, the oldest for T
      sent: [0-9]+ records (re)
      next attempt: in T, after N failures
        logs: status 404
  $ uilog status | grep failing
      delivery of logs failing (logs: status 404): see `uilog spool`
  $ uilog check | grep 404
    error: *:*: uilog.sink.fleet: delivery of logs failing, * times in a row: logs: status 404; 1 waiting (glob)
  $ wc -l < $TESTTMP/collector/ids
  2
  $ rm $TESTTMP/collector/answer.v1.logs
  $ uilog spool flush
  fleet: 1 record sent
  $ sort $TESTTMP/collector/ids | uniq -d

What has never accepted anything is perhaps no collector: all waits.

  $ answer 400
  $ hg root --config uilog.sink.wrong=otlp:http://127.0.0.1:$port/x
  $TESTTMP/repo
  $ settled
  $ uilog spool | sed -n '/^  wrong/,$p' | grep -v 'next attempt' | shown
    wrong  not configured here: not sent
      waiting: [0-9]+ records, N bytes, the oldest for T (re)
      sent: 0 records
        not accepted: 400 (is this an OTLP endpoint?)
  $ answer 200
  $ rm -r $TESTTMP/.local/state/uilog/spool/wrong
  $ uilog spool forget --rejected
  fleet: 1 rejected record removed
=======
A sender that is stopped
========================

It keeps the lock, so nothing is sent; that is told, and nobody takes over.

  $ spool=$TESTTMP/.local/state/uilog/spool/fleet
  $ answer 200
  $ HOME= flock --no-fork $spool/sender.lock sleep 600 &
  $ corpse=$!
  $ wait_for sh -c "! flock --nonblock $spool/sender.lock true"
  $ kill -STOP $corpse
  $ wait_for grep -q '^State:.T' /proc/$corpse/status
  $ hg root
  $TESTTMP/repo
  $ settled
  $ corpse() {
  >     sed -E -e "s/$corpse/PID/g" -e 's/since [0-9T:.-]+[+-][0-9]{2}:[0-9]{2}/since T/' \
  >         $TESTTMP/out
  > }
  $ uilog spool > $TESTTMP/out
  [1]
  $ corpse | grep stopped
      nothing is sent because of process PID (sleep), stopped since T
  $ uilog status > $TESTTMP/out
  [1]
  $ corpse | grep stopped
      nothing is sent because of process PID (sleep), stopped since T: see `uilog spool`
  $ uilog check > $TESTTMP/out
  [1]
  $ corpse | grep -A 1 stopped
    error: *:*: uilog.sink.fleet: nothing is sent because of process PID (sleep), stopped since T (glob)
      continue it: kill -CONT PID; or kill it, which loses nothing: kill -KILL PID
  $ uilog spool flush > $TESTTMP/out
  [1]
  $ corpse
  fleet: 0 records sent
    1 record left: another process is sending: process PID (sleep), stopped since T
  $ kill -KILL $corpse

Files that are destroyed
========================

  $ for it in $spool/*.seg1; do
  >     echo 'no record' > $it
  > done
  $ uilog spool flush
  fleet: 0 records sent
    1 record or more lost in damaged files
  [1]
  $ : > $spool/000000000001-0123456789abcdef.seg1
  $ uilog spool flush
  fleet: 0 records sent
    1 file empty: their records are lost
  [1]
  $ uilog spool flush
  fleet: 0 records sent
  $ uilog spool forget

A directory that is not safe
============================

  $ mkdir $TESTTMP/open
  $ chmod 777 $TESTTMP/open
  $ cat >> $HGRCPATH << END
  > [uilog]
  > spool = $TESTTMP/open
  > END
  $ mkdir -m 700 $TESTTMP/open/fleet
  $ uilog spool | shown
  Spools: $TESTTMP/open
    fleet  otlp:http://$LOCALIP:PORT
      cannot be used: cannot use $TESTTMP/open: other users can write there
  $ uilog spool flush
  fleet: 0 records sent
    0 records left: cannot use $TESTTMP/open: other users can write there
  [1]
  $ uilog spool forget
  uilog: fleet: cannot use $TESTTMP/open: other users can write there
  [1]
  $ uilog check > $TESTTMP/out
  [1]
  $ grep -A 1 'cannot be spooled' $TESTTMP/out
    error: *: uilog.sink.fleet: records cannot be spooled: cannot use $TESTTMP/open: other users can write there (glob)
      make it a directory that only you can write to, or name another one: [uilog] spool = DIR
  $ kill `cat $TESTTMP/collector/pid`
