What `hg blackbox` shows, with uilog: what stock hg shows, and more.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat >> $HGRCPATH << 'END'
  > blackbox =
  > [blackbox]
  > track =
  > END
  $ hg init repo
  $ cd repo
  $ log=.hg/blackbox.log
  $ null=0000000000000000000000000000000000000000
  $ gone=73f6ee326b27d820b0472f1a825e3a50f3dc489b

event 'DAY TIME' USER PID PARENT MESSAGE: one line of a log

  $ event() {
  >     printf '2026-11-%s.000 %s @%s (%s)> %b\n' "$1" "$2" "${4:-$null}" "$3" "$5"
  > }
  $ short() { sed "s/$null/N/g; s/$gone/G/g"; }

Without a log nothing is shown.

  $ hg blackbox
  $ hg blackbox -Tjson
  [
  ]
  $ hg blackbox --failed

As stock hg
===========

same OPTION...: whether both print the same.

  $ same() {
  >     hg blackbox "$@" > $TESTTMP/ours 2>&1
  >     echo $? >> $TESTTMP/ours
  >     hg blackbox --config 'extensions.uilog=!' "$@" > $TESTTMP/stock 2>&1
  >     echo $? >> $TESTTMP/stock
  >     cmp $TESTTMP/ours $TESTTMP/stock
  > }
  $ "$PYTHON" << 'END'
  > null = b'0' * 40
  > date = b'2026-11-02 12:00:%02d.000'
  > with open('.hg/blackbox.log', 'wb') as log:
  >     log.write(b'before everything\n\n')
  >     log.write(b'2013/01/23 19:13:36 root> x\n')
  >     log.write(b'2013/01/23 19:13:36 root (1234)> y\n')
  >     log.write(b'2013-01-23 19:13:36 (1234)> z\r\n')
  >     for number in range(30):
  >         head = (date + b' bob @' + null + b' (5)> ') % number
  >         log.write(head + b'command %d \xff\xfe\n' % number)
  >         if number % 7 == 0:
  >             log.write(b'Traceback (most recent call last):\n')
  >             log.write(b'  File "<string>"\n\nError\n\n')
  >         if number % 11 == 0:
  >             log.write(b'\0\0\0\n')
  >             log.write(head[:-5] + b'\n')
  >             log.write(head + b'torn' + head + b'glued\n')
  >             log.write(head[:30] + head + b'glued\n')
  > END
  $ same
  $ same -l 1
  $ same -l 2
  $ same -l 3
  $ same -l 17
  $ same -l 38
  $ same -l 1000
  $ same -l 100000000000000000000
  $ same -q
  $ printf '2026-11-02 12:00:59.000 bob @%s (5)> unfinished' $null >> $log
  $ same
  $ same -l 1

A log of the other date format, and one that is no log at all

  $ printf 'x\ny\n' > $log
  $ same
  $ printf '\n' > $log
  $ same
  $ : > $log
  $ same

What is not readable is fatal, and does not hang.

  $ rm $log
  $ mkdir $log
  $ same
  $ hg blackbox
  abort: Is a directory: '$TESTTMP/repo/.hg/blackbox.log'
  [255]
  $ rmdir $log
  $ mkfifo $log
  $ hg blackbox
  abort: Invalid argument: '$TESTTMP/repo/.hg/blackbox.log'
  [255]
  $ rm $log
  $ ln -s nothing $log
  $ same
  $ rm $log

Wrong values

  $ hg blackbox -l x
  abort: invalid value 'x' for option -l, expected int
  [10]
  $ hg blackbox -l -1
  abort: --limit must not be negative
  [10]
  $ hg blackbox --since tomorrowish
  abort: invalid --since: invalid date: 'tomorrowish'
  (try 7d, 2h, *) (glob)
  [10]
  $ hg blackbox --until -x
  abort: invalid --until: invalid day spec: x
  (try 7d, 2h, *) (glob)
  [10]
  $ hg blackbox --pid x
  abort: invalid --pid: 'x' is no number
  [10]
  $ hg blackbox --slower fast
  abort: invalid --slower: 'fast' is no number of seconds
  [10]
  $ hg blackbox --slower -1
  abort: invalid --slower: '-1' is no number of seconds
  [10]
  $ hg blackbox -r nosuch
  abort: unknown revision 'nosuch'* (glob)
  [10]

Rotated files
=============

The oldest first; a number may be missing.

  $ event '01 10:00:00' bob 1 '' 'in the oldest' > $log.12
  $ event '02 10:00:00' bob 1 '' 'in the second' > $log.2
  $ printf 'in the middle, without a newline' >> $log.2
  $ event '03 10:00:00' bob 1 '' 'in the first' > $log.1
  $ event '04 10:00:00' bob 1 '' 'in the current' > $log
  $ hg blackbox | short
  2026-11-01 10:00:00.000 bob @N (1)> in the oldest
  2026-11-02 10:00:00.000 bob @N (1)> in the second
  in the middle, without a newline
  2026-11-03 10:00:00.000 bob @N (1)> in the first
  2026-11-04 10:00:00.000 bob @N (1)> in the current
  $ hg blackbox -l 2 | short
  2026-11-03 10:00:00.000 bob @N (1)> in the first
  2026-11-04 10:00:00.000 bob @N (1)> in the current
  $ hg blackbox -l 0 -T '{source}: {message}\n'
  blackbox.log.12: in the oldest
  blackbox.log.2: in the second
  in the middle, without a newline
  blackbox.log.1: in the first
  blackbox.log: in the current

Also while the current one is missing, as in the middle of a rotation

  $ rm $log
  $ hg blackbox -l 1 | short
  2026-11-03 10:00:00.000 bob @N (1)> in the first

One that cannot be read is told of.

  $ rm $log.*
  $ mkdir $log.1
  $ event '04 10:00:00' bob 1 '' 'in the current' > $log
  $ hg blackbox -q
  warning: cannot read $TESTTMP/repo/.hg/blackbox.log.1: Is a directory
  $ rmdir $log.1

Filters
=======

  $ echo a > a
  $ hg commit -qAm a -d '0 0' -u test
  $ a=`hg log -r . -T '{node}'`
  $ {
  >     event '01 10:00:00' bob 100 '' "pull"
  >     event '01 10:00:01' bob 100 '' "1 incoming changes - new heads: d02f48003e62"
  >     event '01 10:00:40' bob 100 $a "pull exited 0 after 40.00 seconds"
  >     event '02 00:00:00' alice 200 $a "commit -m 'one\n\ntwo'"
  >     event '02 23:59:59' alice 200 $a "commit -m 'one\n\ntwo' exited 255 after 1.50 seconds"
  >     event '03 00:00:00' alice 300 $gone "exthook-update: echo finished in 3.00 seconds"
  >     event '03 09:00:00' alice 300 $a "** Unknown exception encountered\nTraceback (most recent call last):\nError: x\n"
  >     event '04 09:00:00' bob 400 $a "(rust) status exited 1 after 0.002 seconds"
  > } > $log
  $ shown() { hg blackbox -l 0 "$@" -T '{date|shortdate} {user} {message|firstline}\n'; }
  $ shown --user bob
  2026-11-01 bob pull
  2026-11-01 bob 1 incoming changes - new heads: d02f48003e62
  2026-11-01 bob pull exited 0 after 40.00 seconds
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown --user bo
  $ shown --user bob --user alice | wc -l | tr -d ' '
  8
  $ shown --pid 300 --pid 400
  2026-11-03 alice exthook-update: echo finished in 3.00 seconds
  2026-11-03 alice ** Unknown exception encountered
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown --event incoming --event exthook
  2026-11-01 bob 1 incoming changes - new heads: d02f48003e62
  2026-11-03 alice exthook-update: echo finished in 3.00 seconds
  $ shown --event command
  2026-11-01 bob pull
  2026-11-02 alice commit -m 'one
  $ shown --command 'pull*' --command status
  2026-11-01 bob pull
  2026-11-01 bob pull exited 0 after 40.00 seconds
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown --command 'commit*two?'
  2026-11-02 alice commit -m 'one
  2026-11-02 alice commit -m 'one
  $ shown --failed
  2026-11-02 alice commit -m 'one
  2026-11-03 alice ** Unknown exception encountered
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown --failed --user bob
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown --slower 3
  2026-11-01 bob pull exited 0 after 40.00 seconds
  2026-11-03 alice exthook-update: echo finished in 3.00 seconds
  $ shown --slower 3.01
  2026-11-01 bob pull exited 0 after 40.00 seconds

Dates include all that they name.

  $ shown --since 2026-11-02 --until 2026-11-02
  2026-11-02 alice commit -m 'one
  2026-11-02 alice commit -m 'one
  $ shown --since '2026-11-03 09:00'
  2026-11-03 alice ** Unknown exception encountered
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown --until '2026-11-01 10:00:01'
  2026-11-01 bob pull
  2026-11-01 bob 1 incoming changes - new heads: d02f48003e62
  $ shown --until '2026-11-01 11:00 +0100'
  2026-11-01 bob pull
  2026-11-01 bob 1 incoming changes - new heads: d02f48003e62
  2026-11-01 bob pull exited 0 after 40.00 seconds
  $ shown --since 2027
  $ shown --until 2025

Days ago: an event of now, and one that is older

  $ "$PYTHON" << END >> $log
  > import time
  > for ago in (3, 0):
  >     now = time.localtime(time.time() - ago * 86400)
  >     date = time.strftime('%Y-%m-%d %H:%M:%S', now)
  >     print('%s bob @$null (1)> %d days ago' % (date, ago))
  > END
  $ hg blackbox --since -2 --until 2037-01-01 -T '{message}\n' --user bob --pid 1
  0 days ago
  $ hg blackbox --until -2 -l 1 -T '{message}\n' --pid 1
  3 days ago

Global options do not matter, wherever they stand, and what -l keeps out is told

  $ "$PYTHON" << END >> $log
  > import time
  > date = time.strftime('%Y-%m-%d %H:%M:%S')
  > for rev in range(14):
  >     command = '--config x=y strip -R . -r %d' % rev
  >     tail = '%s exited 255 after 1.00 seconds' % command
  >     print('%s bob @$null (2)> %s' % (date, tail))
  > END
  $ hg blackbox --command 'strip -r 1*' -l 2 -T '{command}\n'
  --config x=y strip -R . -r 12
  --config x=y strip -R . -r 13
  3 more (-l 0 shows all)
  $ hg blackbox --failed --since yesterday --pid 2 | grep -c strip
  4 more (-l 0 shows all)
  10
  $ hg blackbox --failed --since 'last 2 days' --pid 2 -l 0 | grep -c strip
  14
  $ hg blackbox --failed --since 2h --until 1h --pid 2

The local time counts.

  $ TZ=Asia/Tokyo hg blackbox --until '2026-11-01 01:00 UTC' -T '{message|firstline}\n'
  pull
  1 incoming changes - new heads: d02f48003e62
  pull exited 0 after 40.00 seconds

Parents, also those of changesets that do not exist

  $ shown -r .
  2026-11-01 bob pull exited 0 after 40.00 seconds
  2026-11-02 alice commit -m 'one
  2026-11-02 alice commit -m 'one
  2026-11-03 alice ** Unknown exception encountered
  2026-11-04 bob (rust) status exited 1 after 0.002 seconds
  $ shown -r $gone
  2026-11-03 alice exthook-update: echo finished in 3.00 seconds
  $ shown -r $gone -r 0 | wc -l | tr -d ' '
  6
  $ shown -r null --pid 100
  2026-11-01 bob pull
  2026-11-01 bob 1 incoming changes - new heads: d02f48003e62
  $ shown -r 'none()'

The limit counts what passes, and lines that continue an event come with it.

  $ hg blackbox -l 2 --failed | short
  2026-11-03 09:00:00.000 alice @* (300)> ** Unknown exception encountered (glob)
  Traceback (most recent call last):
  Error: x
  
  2026-11-04 09:00:00.000 bob @* (400)> (rust) status exited 1 after 0.002 seconds (glob)
  $ hg blackbox -l 1 --event commandfinish --user alice | short
  2026-11-02 23:59:59.000 alice @* (200)> commit -m 'one (glob)
  
  two' exited 255 after 1.50 seconds
  $ hg blackbox -q --failed

Fields
======

  $ cat > $TESTTMP/fields.py << 'END'
  > import json
  > import sys
  > for item in json.loads(sys.stdin.buffer.read()):
  >     print(' '.join('%s=%r' % pair for pair in sorted(item.items())))
  > END
  $ fields() { hg blackbox -Tjson "$@" | "$PYTHON" $TESTTMP/fields.py | short; }
  $ TZ=Asia/Tokyo fields --event commandfinish --user alice
  command="commit -m 'one\n\ntwo'" damaged=False date=[1793631599, -32400] dirty=False duration=1.5 event='commandfinish' message="commit -m 'one\n\ntwo' exited 255 after 1.50 seconds" parents=['*'] pid=200 return_code=255 source='blackbox.log' user='alice' (glob)
  $ printf '2026-11-05 10:00:00 +0130 bob @%s+%s+ (1) [mine]> \0\377"\n' $null $gone > $log
  $ fields
  command=None damaged=False date=[1793867400, -5400] dirty=True duration=None event='mine' message='\x00\udcff"' parents=['N', 'G'] pid=1 return_code=None source='blackbox.log' user='bob'
  $ printf 'Thursday bob2 @??? (12)> (rust) files\n' > $log
  $ fields
  command='files' damaged=False date=None dirty=False duration=None event='command' message='(rust) files' parents=[] pid=12 return_code=None source='blackbox.log' user='bob2'
  $ printf '2013/01/23 19:13:36 (12)> x: y\n' > $log
  $ TZ=UTC fields
  command=None damaged=False date=[1358968416, 0] dirty=False duration=None event=None message='x: y' parents=[] pid=12 return_code=None source='blackbox.log' user=None

What is not known is empty in other templates.

  $ hg blackbox -T '{date|isodate}:{user}:{event}:{return_code}:{duration}\n'
  2013-01-23 19:13 +0000::::

Date formats
============

The configured one is read, whatever was configured before.

  $ {
  >     echo "02.11.26 10:00 +0100 bob @$null (1)> one"
  >     echo "Monday, 2nd bob @$null (1)> two"
  >     event '02 12:00:00' bob 1 '' three
  > } > $log
  $ format='blackbox.date-format=%d.%m.%y %H:%M %z'
  $ hg blackbox -l 2 --config "$format" | short
  Monday, 2nd bob @N (1)> two
  2026-11-02 12:00:00.000 bob @N (1)> three
  $ hg blackbox --config "$format" --since '2026-11-02 09:00 UTC' 2>&1 | short
  02.11.26 10:00 +0100 bob @N (1)> one
  2026-11-02 12:00:00.000 bob @N (1)> three
  warning: 1 event left out, its date cannot be read
  $ hg blackbox --config "$format" --since '2026-11-02 09:01 UTC' -T '{message}\n'
  three
  warning: 1 event left out, its date cannot be read
  $ hg blackbox --since '2026-11-02' -T '{message}\n'
  three
  warning: 2 events left out, their dates cannot be read

Damage
======

  $ {
  >     echo 'the rest of something'
  >     event '01 10:00:00' alice 1 '' 'pull exited 0 after' | tr -d '\n'
  >     event '02 10:00:00' bob 2 '' status
  >     printf '2026-11-02 11:00:0'
  >     event '03 10:00:00' bob 3 '' diff
  >     printf '\0\0\0\0'
  >     event '04 10:00:00' bob 4 '' id
  > } > $log
  $ same -l 1
  $ same -l 2
  $ hg blackbox -T '{pid}:{damaged}:{message}\n'
  :True:the rest of something
  1:True:pull exited 0 after
  2:False:status
  3:True:diff
  4:True:id
  warning: 4 damaged lines
  $ hg blackbox --pid 2 | short
  2026-11-02 10:00:00.000 bob @N (2)> status
  $ hg blackbox --user alice 2>&1 | short
  2026-11-01 10:00:00.000 alice @N (1)> pull exited 0 after
  warning: 1 damaged line
  $ hg blackbox --since 2026-11-03 --until 2026-11-03 2>&1 | short
  2026-11-02 11:00:02026-11-03 10:00:00.000 bob @N (3)> diff
  warning: 1 damaged line
  $ hg blackbox -l 100 --debug 2>&1 > /dev/null
  warning: 4 damaged lines
  $ hg blackbox -l 100 2>&1 > /dev/null

An event that is larger than what is looked at is shown as a whole.

  $ "$PYTHON" -c "print('2026-11-02 10:00:00 bob @$null (5)> ' + 3000000 * 'x')" > $log
  $ event '03 10:00:00' bob 6 '' end >> $log
  $ hg blackbox --user bob | wc -c | tr -d ' '
  3000151
  $ hg blackbox --user bob -T '{message|count}\n'
  1048517
  3

Follow
======

  $ cat > $TESTTMP/follow.py << 'END'
  > import os
  > import signal
  > import sys
  > # A shell's background jobs ignore it.
  > signal.signal(signal.SIGINT, signal.SIG_DFL)
  > os.execvp('hg', ['hg', 'blackbox', '-f', *sys.argv[1:]])
  > END
  $ follow() { exec "$PYTHON" $TESTTMP/follow.py "$@"; }
  $ rm $log
  $ follow > $TESTTMP/followed 2>&1 &
  $ plain=$!
  $ follow --user bob -T '{message}\n' > $TESTTMP/bob 2>&1 &
  $ filtered=$!
  $ event '01 10:00:00' bob 1 '' one > $log
  $ event '01 10:00:00' al 1 '' two >> $log
  $ wait_lines 2 $TESTTMP/followed
  $ wait_lines 1 $TESTTMP/bob

Two rotations between two looks, perhaps, and a writer that is late

  $ exec 7>> $log
  $ mv $log $log.1
  $ event '01 10:00:00' bob 1 '' 'three\nmore' > $log
  $ mv $log.1 $log.2; mv $log $log.1
  $ event '01 10:00:00' bob 1 '' four > $log
  $ wait_lines 5 $TESTTMP/followed
  $ wait_lines 4 $TESTTMP/bob
  $ event '01 10:00:00' bob 1 '' late >&7
  $ exec 7>&-
  $ wait_lines 6 $TESTTMP/followed
  $ wait_lines 5 $TESTTMP/bob
  $ printf '2026-11-01 10:00:00.000 bob @%s (1)> ' $null >> $log
  $ echo five >> $log
  $ wait_lines 7 $TESTTMP/followed
  $ wait_lines 6 $TESTTMP/bob
  $ kill -INT $plain $filtered
  $ wait $plain
  [255]
  $ wait $filtered
  [255]
  $ short < $TESTTMP/followed
  2026-11-01 10:00:00.000 bob @N (1)> one
  2026-11-01 10:00:00.000 al @N (1)> two
  2026-11-01 10:00:00.000 bob @N (1)> three
  more
  2026-11-01 10:00:00.000 bob @N (1)> four
  2026-11-01 10:00:00.000 bob @N (1)> late
  2026-11-01 10:00:00.000 bob @N (1)> five
  interrupted!
  $ cat $TESTTMP/bob
  one
  three
  more
  four
  late
  five
  interrupted!

JSON is whole when it is interrupted.

  $ follow -l 1 -Tjson > $TESTTMP/json 2> $TESTTMP/err &
  $ pid=$!
  $ wait_for grep -q five $TESTTMP/json
  $ kill -INT $pid
  $ wait $pid
  [255]
  $ "$PYTHON" $TESTTMP/fields.py < $TESTTMP/json | short
  command='five' damaged=False date=* source='blackbox.log' user='bob' (glob)

Help
====

  $ hg help blackbox | sed -n '1,5p'
  hg blackbox [OPTION]...
  
  view the recent repository events
  
  Shows the last events in the repository's blackbox, the oldest first, 10 of
