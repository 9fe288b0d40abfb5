The process that runs the scripts, and what happens when something happens to
it: the command goes on, nothing is lost, or it is counted.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat > $TESTTMP/log.py << 'END'
  > import os
  > import resource
  > import signal
  > import sys
  > import time
  > from mercurial import registrar, util
  > sys.path.insert(0, os.environ['helpers'])
  > import processes
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > cases = {}
  > def case(func):
  >     cases[func.__name__.encode()] = func
  >     return func
  > @command(b'case', [], b'CASE', norepo=True)
  > def runcase(ui, name):
  >     cases[name](ui)
  >     counters = ui.getlogger(b'uilog').status()['counters']
  >     for name, count in counters.items():
  >         if count:
  >             ui.status(b'%s: %d\n' % (name.encode(), count))
  > def log(ui, first, last, **opts):
  >     for n in range(first, last + 1):
  >         ui.log(b'logged', b'm\n', n=n, **opts)
  > def status(ui):
  >     return ui.getlogger(b'uilog').status()['dispatcher']
  > def wait(condition):
  >     deadline = time.monotonic() + 120
  >     while not condition():
  >         if time.monotonic() > deadline:
  >             raise RuntimeError('not within 120 seconds')
  >         time.sleep(0.01)
  > def wait_for_scripts(ui, count):
  >     wait(lambda: status(ui)['succeeded'] == count)
  > def send(ui, signum, state=None):
  >     pid = status(ui)['pid']
  >     os.kill(pid, signum)
  >     def reached():
  >         process = processes.look(pid)
  >         return (process.state if process else None) in state
  >     wait(reached)
  > def stop(ui):
  >     send(ui, signal.SIGSTOP, 'T')
  > def kill(ui):
  >     send(ui, signal.SIGKILL, [None, 'Z'])
  > END
  $ cat >> $HGRCPATH << 'END'
  > log = $TESTTMP/log.py
  > [logtoprocess]
  > logged = echo $OPT_N >> $got/log
  > END

ran: the numbers of the events whose scripts have run, as ranges. Each script
appends a line at once, so none is torn.

  $ ran() {
  >     settled
  >     sort -n $got/log | awk '
  >         NR == 1 { first = last = $1; next }
  >         $1 == last + 1 { last = $1; next }
  >         { print first "-" last; first = last = $1 }
  >         END { print first "-" last }'
  >     rm $got/log
  > }

Order and number
================

Scripts start in the order of their events, also if several run at a time.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def hundred(ui):
  >     log(ui, 1, 100)
  > END
  $ hg case hundred --config uilog.max-scripts=1
  events: 100
  delivered: 100
  $ settled
  $ seq 100 | cmp - $got/log
  $ rm $got/log
  $ hg case hundred --config 'logtoprocess.logged=
  >     set -- `cat /proc/$$/stat`; shift 21
  >     echo $OPT_N $1 >> $got/log'
  events: 100
  delivered: 100
  $ settled
  $ wc -l < $got/log
  100
  $ sort -n $got/log > $TESTTMP/by-event
  $ sort -k2,2n -k1,1n $got/log | cmp - $TESTTMP/by-event
  $ rm $got/log

As many at a time as uilog.max-scripts says, and no more: each script says how
many there are, itself included.

  $ cat > $TESTTMP/count.sh << 'END'
  > touch $TESTTMP/running/$OPT_N
  > ls $TESTTMP/running | wc -l >> $got/counts
  > "$PYTHON" $helpers/wait_for.py test -e $TESTTMP/go
  > rm $TESTTMP/running/$OPT_N
  > END
  $ mkdir $TESTTMP/running
  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def ten(ui):
  >     log(ui, 1, 10)
  > END
  $ hg case ten --config uilog.max-scripts=3 \
  >     --config 'logtoprocess.logged=. $TESTTMP/count.sh'
  events: 10
  delivered: 10
  $ wait_lines 3 $got/counts
  $ dispatchers | wc -l
  1
  $ ls $TESTTMP/running
  1
  2
  3
  $ touch $TESTTMP/go
  $ settled
  $ wc -l < $got/counts
  10
  $ sort -n $got/counts | tail -1
  3
  $ rm $got/counts

The dispatcher has ended after its last script.

  $ dispatchers

A burst

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def burst(ui):
  >     log(ui, 1, 10000)
  > END
  $ hg case burst
  events: 10000
  delivered: 10000
  $ ran
  1-10000

Nobody becomes a child of hg, and nobody a zombie, however long hg runs.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def zombies(ui):
  >     before = len(os.listdir('/proc/self/fd'))
  >     for round in range(5):
  >         log(ui, 20 * round + 1, 20 * round + 20)
  >         wait_for_scripts(ui, 20 * round + 20)
  >     dispatcher = status(ui)['pid']
  >     for process in processes.everyone():
  >         if process.parent in (os.getpid(), dispatcher):
  >             ui.warn(b'a child: %s\n' % str(process).encode())
  >     ui.status(b'dispatchers: %d\n' % status(ui)['starts'])
  >     ui.status(b'descriptors: %d more\n'
  >         % (len(os.listdir('/proc/self/fd')) - before))
  > END
  $ hg case zombies
  dispatchers: 1
  descriptors: 3 more
  events: 100
  delivered: 100
  $ ran
  1-100

Time
====

A script whose time is over is ended, with what it has started: by SIGTERM, and
by SIGKILL if it does not mind that.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def one(ui):
  >     log(ui, 1, 1)
  > END
It gets more time where it has not come to its trap.

  $ timed_out() {
  >     for seconds in 0.2 2 10 50; do
  >         rm -rf ~/.local/state/uilog
  >         hg case one --config uilog.script-timeout=$seconds \
  >             --config "logtoprocess.logged=$1" > $TESTTMP/out
  >         settled
  >         test -e $got/log && break
  >     done
  >     cat $TESTTMP/out $got/log
  >     rm $got/log
  >     hg debuguilog | sed -n '/^journal/,$p'
  > }
  $ timed_out 'trap "echo ended by SIGTERM >> $got/log; exit" TERM
  >     sleep 1000 & wait'
  events: 1
  delivered: 1
  ended by SIGTERM
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 1
    events lost: 0
    ????-??-??T??:??:??.??????+00:00 timed-out logged it timed out (uilog.script-timeout) (glob)
      defined at: --config
      directory: $TESTTMP
      duration: *.??? s (glob)
  $ timed_out 'trap "echo ignored SIGTERM >> $got/log" TERM
  >     while true; do sleep 1000; done'
  events: 1
  delivered: 1
  ignored SIGTERM
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 1
    events lost: 0
    ????-??-??T??:??:??.??????+00:00 timed-out logged it timed out (uilog.script-timeout) (glob)
      defined at: --config
      directory: $TESTTMP
      duration: *.??? s (glob)
      stderr: Terminated
  $ rm -r ~/.local/state/uilog

Without a limit

  $ hg case one --config uilog.script-timeout=0
  events: 1
  delivered: 1
  $ ran
  1-1

The dispatcher dies
===================

In the middle of a session: another one goes on.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def killed(ui):
  >     log(ui, 1, 10)
  >     wait_for_scripts(ui, 10)
  >     kill(ui)
  >     log(ui, 11, 20)
  >     wait_for_scripts(ui, 20)
  >     kill(ui)
  >     log(ui, 21, 30)
  >     ui.status(b'dispatchers: %d\n' % status(ui)['starts'])
  > END
  $ hg case killed
  dispatchers: 3
  events: 30
  delivered: 30
  $ ran
  1-30

With events that it has not looked at

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def killedbusy(ui):
  >     log(ui, 1, 1)
  >     wait_for_scripts(ui, 1)
  >     stop(ui)
  >     log(ui, 2, 50)
  >     kill(ui)
  >     log(ui, 51, 52)
  > END
  $ hg case killedbusy
  events: 52
  delivered: 52
  $ ran
  1-52

With events that it has not looked at, and nothing more is logged

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def killedlast(ui):
  >     log(ui, 1, 1)
  >     wait_for_scripts(ui, 1)
  >     stop(ui)
  >     log(ui, 2, 5)
  >     kill(ui)
  > END
  $ hg case killedlast
  events: 5
  delivered: 5
  $ ran
  1-5

While its scripts run: they go on.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def killedrunning(ui):
  >     log(ui, 1, 1)
  >     wait(lambda: os.path.exists(os.environ['got'] + '/started'))
  >     # Else nobody could tell whether it has been started.
  >     wait(lambda: status(ui)['started'] == 1)
  >     kill(ui)
  >     log(ui, 2, 2)
  > END
  $ hg case killedrunning --config 'logtoprocess.logged=
  >     touch $got/started
  >     "$PYTHON" $helpers/wait_for.py test -e $got/go
  >     echo $OPT_N >> $got/log'
  events: 2
  delivered: 2
  $ touch $got/go
  $ ran
  1-2
  $ rm $got/*

Told to end, it tells what it has not done.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def terminated(ui):
  >     log(ui, 1, 1)
  >     wait(lambda: os.path.exists(os.environ['got'] + '/started'))
  >     log(ui, 2, 5)
  >     send(ui, signal.SIGTERM, [None, 'Z'])
  > END
  $ hg case terminated --config uilog.max-scripts=1 \
  >     --config 'logtoprocess.logged=
  >     touch $got/started
  >     "$PYTHON" $helpers/wait_for.py test -e $got/go
  >     echo $OPT_N >> $got/log'
  events: 5
  delivered: 5
  $ touch $got/go
  $ ran
  1-1
  $ hg debuguilog | sed -n '/^journal/,$p'
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 1
    events lost: 4
    ????-??-??T??:??:??.??????+00:00 lost  the dispatcher was ended by SIGTERM (glob)
  $ rm -r $got/* ~/.local/state/uilog

What it has given up stays so, if more is logged.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def terminatedthenmore(ui):
  >     terminated(ui)
  >     log(ui, 6, 6)
  > END
  $ hg case terminatedthenmore --config uilog.max-scripts=1 \
  >     --config 'logtoprocess.logged=
  >     touch $got/started
  >     "$PYTHON" $helpers/wait_for.py test -e $got/go
  >     echo $OPT_N >> $got/log'
  events: 6
  delivered: 6
  $ touch $got/go
  $ ran
  1-1
  6-6
  $ hg debuguilog | sed -n '/^journal/,/lost/p'
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 1
    events lost: 4
  $ rm -r $got/* ~/.local/state/uilog

The dispatcher stalls
=====================

hg does not notice, and nothing is lost.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def stopped(ui):
  >     log(ui, 1, 1)
  >     wait_for_scripts(ui, 1)
  >     stop(ui)
  >     log(ui, 2, 1000)
  > END
  $ hg case stopped
  events: 1000
  delivered: 1000
  $ cat $got/log
  1
  $ kill -CONT `dispatchers`
  $ ran
  1-1000

Until the queue is full: then events are lost, and counted.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def full(ui):
  >     log(ui, 1, 1)
  >     wait_for_scripts(ui, 1)
  >     stop(ui)
  >     log(ui, 2, 100, long=b'x' * 100000)
  >     send(ui, signal.SIGCONT, 'SRD')
  >     counters = ui.getlogger(b'uilog').status()['counters']
  >     wait_for_scripts(ui, counters['delivered'])
  >     assert counters['delivered'] + counters['lost'] == 100
  >     log(ui, 101, 101)
  > END
  $ hg case full --config uilog.queue-size=1MB > $TESTTMP/out
  $ cat $TESTTMP/out
  events: 101
  delivered: (8|9|1\d) (re)
  lost: (8\d|9[0-3]) (re)
  $ settled
  $ sort -n $got/log | sed -n '1p;$p'
  1
  101
  $ wc -l < $got/log | sed 's/^/delivered: /' > $TESTTMP/counted
  $ hg debuguilog | sed -n 's/^  events lost/lost/p' >> $TESTTMP/counted
  $ grep -v events $TESTTMP/out | diff - $TESTTMP/counted
  $ rm $got/log
  $ rm -r ~/.local/state/uilog
  $ hg case full --config uilog.queue-size=1MB --debug 2>&1 | grep ^uilog |
  >     sort -u
  uilog: lost 1 event(s) at logged: 1048576 bytes of events are queued already (uilog.queue-size)
  $ settled
  $ rm $got/log
  $ rm -r ~/.local/state/uilog

hg dies
=======

What it has logged before is not lost.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def suicide(ui):
  >     log(ui, 1, 100)
  >     os.kill(os.getpid(), signal.SIGKILL)
  > @case
  > def exit(ui):
  >     log(ui, 1, 100)
  >     os._exit(3)
  > END
  $ sh -c 'hg case suicide; exit $?' 2> /dev/null
  [137]
  $ ran
  1-100
  $ hg case exit
  [3]
  $ ran
  1-100

The system has nothing to give
==============================

No descriptor for the dispatcher. It may take more than one attempt later.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def nodescriptor(ui):
  >     soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  >     resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
  >     log(ui, 1, 1)
  >     resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  >     wait(lambda: (log(ui, 2, 2), status(ui).get('pid'))[1])
  >     log(ui, 3, 10)
  > END
  $ hg case nodescriptor > $TESTTMP/out
  $ ran
  2-10
  $ grep lost $TESTTMP/out
  lost: [1-9]\d* (re)
  $ rm -r ~/.local/state/uilog
  $ hg case nodescriptor --debug 2>&1 | grep ^uilog | sort -u
  uilog: lost 1 event(s) at logged: cannot create a queue: Too many open files (os error 24)
  $ ran
  2-10

Too few descriptors for it, though not for hg: it may not even come so far as to
say so. Who comes next does.

  $ rm -r ~/.local/state/uilog
  $ for number in 6 7 8; do
  >     (ulimit -n $number
  >     hg version -q --config logtoprocess.commandfinish=true) > $TESTTMP/out
  > done
  $ settled
  $ uilog status | grep 'events lost'
    3 events lost, [1-3] failures? (re)
  $ hg debuguilog | grep 'events lost'
    events lost: 3
  $ uilog journal forget > $TESTTMP/out

Once the dispatcher runs it takes no further descriptor.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def nodescriptorlater(ui):
  >     log(ui, 1, 1)
  >     soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  >     resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
  >     log(ui, 2, 10)
  >     resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  > END
  $ hg case nodescriptorlater
  events: 10
  delivered: 10
  $ ran
  1-10

No process. (The limit does not count for root.)

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def noprocess(ui):
  >     if os.getuid() == 0:
  >         os.setuid(65534)
  >     resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
  >     log(ui, 1, 1)
  > END
  $ rm -rf ~/.local/state/uilog
  $ hg case noprocess --debug 2>&1 | grep -E '^(uilog|events|delivered|lost)'
  uilog: lost 1 event(s) at logged: cannot start */bin/uilog-dispatcher: making the process: Resource temporarily unavailable (os error 11) (glob)
  events: 1
  lost: 1
  $ settled
  $ ls $got

Where scripts run
=================

In hg's directory at the time of the event, or in / if that has been removed.

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def directories(ui):
  >     for n, name in enumerate(['a', 'b', 'gone']):
  >         os.mkdir(name)
  >         os.chdir(name)
  >         if name == 'gone':
  >             os.rmdir(os.path.join(os.environ['TESTTMP'], 'a', 'b', 'gone'))
  >         log(ui, n, n)
  > END
  $ cd $TESTTMP
  $ hg case directories \
  >     --config 'logtoprocess.logged=echo $OPT_N `pwd` >> $got/log'
  events: 3
  delivered: 3
  $ settled
  $ sort $got/log
  0 $TESTTMP/a
  1 $TESTTMP/a/b
  2 /
  $ rm $got/log

With hg's umask at the time of the event

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def umasks(ui):
  >     os.umask(0o027)
  >     log(ui, 1, 1)
  >     util.setumask(0o077)
  >     log(ui, 2, 2)
  >     util.setumask(0o002)
  >     log(ui, 3, 3)
  > END
  $ hg case umasks --config 'logtoprocess.logged=echo $OPT_N `umask` >> $got/log'
  events: 3
  delivered: 3
  $ settled
  $ sort $got/log
  1 0027
  2 0077
  3 0002
  $ rm $got/log

With hg's environment at the time of the event

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def environments(ui):
  >     for n in range(5):
  >         os.environ['CHANGING'] = str(n)
  >         log(ui, n, n)
  >     del os.environ['CHANGING']
  >     log(ui, 5, 5)
  > END
  $ hg case environments \
  >     --config 'logtoprocess.logged=echo $OPT_N $CHANGING >> $got/log'
  events: 6
  delivered: 6
  $ settled
  $ sort $got/log
  0 0
  1 1
  2 2
  3 3
  4 4
  5
  $ rm $got/log

The program cannot be run
=========================

A copy of the extension without it

  $ mkdir -p $TESTTMP/private
  $ cp -RL "`"$PYTHON" -c 'import hgext3rd.uilog, os
  > print(os.path.dirname(os.path.dirname(hgext3rd.uilog.__file__)))'`" \
  >     $TESTTMP/private/hgext3rd
  $ cp "`"$PYTHON" -c 'import hgext3rd; print(hgext3rd.__file__)'`" \
  >     $TESTTMP/private/hgext3rd/__init__.py
  $ PYTHONPATH=$TESTTMP/private:$PYTHONPATH
  $ export PYTHONPATH
  $ hg case ten
  events: 10
  lost: 10
  $ hg debuguilog | sed -n 's/^  events lost/lost/p'
  lost: 10
  $ hg case one --debug 2>&1 | grep ^uilog
  uilog: lost 1 event(s) at logged: cannot run $TESTTMP/private/hgext3rd/uilog/bin/uilog: ENOENT: No such file or directory
  $ hg debuguilog | sed -n '/^dispatcher/,/program/p'
  dispatcher:
    state: does not work: cannot run $TESTTMP/private/hgext3rd/uilog/bin/uilog: ENOENT: No such file or directory
    program: $TESTTMP/private/hgext3rd/uilog/bin/uilog
  $ hg debuguilog | sed -n '/^journal/,$p' | sed -n '$p'
    ????-??-??T??:??:??.??????+00:00 lost logged cannot run $TESTTMP/private/hgext3rd/uilog/bin/uilog: ENOENT: No such file or directory (* times) (glob)
  $ rm -r ~/.local/state/uilog

Not executable

  $ mkdir $TESTTMP/private/bin
  $ touch $TESTTMP/private/bin/uilog
  $ hg case ten
  events: 10
  lost: 10
  $ hg debuguilog | sed -n 's/^  events lost/lost/p'
  lost: 10
  $ hg case one --debug 2>&1 | grep ^uilog
  uilog: lost 1 event(s) at logged: cannot run $TESTTMP/private/bin/uilog: EACCES: Permission denied
  $ hg debuguilog | sed -n '/^dispatcher/,/program/p'
  dispatcher:
    state: does not work: cannot run $TESTTMP/private/bin/uilog: EACCES: Permission denied
    program: $TESTTMP/private/bin/uilog
  $ rm -r ~/.local/state/uilog
  $ ls $got

One that ends at once

  $ cat >> $TESTTMP/log.py << 'END'
  > @case
  > def barren(ui):
  >     counters = lambda: ui.getlogger(b'uilog').status()['counters']
  >     wait(lambda: log(ui, 1, 1) or counters()['lost'])
  > END
  $ cat > $TESTTMP/private/bin/uilog << 'END'
  > #!/bin/sh
  > exit 1
  > END
  $ chmod +x $TESTTMP/private/bin/uilog
  $ hg case barren --debug 2>&1 | grep ^uilog
  uilog: lost * event(s) at logged: $TESTTMP/private/bin/uilog dispatch ends before it has done anything (glob)
  $ settled
  $ hg debuguilog | sed -n '/^dispatcher/,/state/p'
  dispatcher:
    state: does not work: it ends before it has done anything

One that is no program

  $ rm -rf ~/.local/state/uilog
  $ echo garbage > $TESTTMP/private/bin/uilog
  $ hg debuguilog | sed -n '/^dispatcher/,/state/p'
  dispatcher:
    state: does not work: cannot start $TESTTMP/private/bin/uilog: executing: Exec format error (os error 8)
  $ settled

Only the one that runs scripts alone cannot be used: the other one runs them

  $ rm -rf ~/.local/state/uilog
  $ cp "`command -v uilog`" $TESTTMP/private/bin/uilog
  $ hg case ten
  events: 10
  delivered: 10
  $ settled
  $ echo garbage > $TESTTMP/private/bin/uilog-dispatcher
  $ chmod +x $TESTTMP/private/bin/uilog-dispatcher
  $ hg case ten
  events: 10
  delivered: 10
  $ hg debuguilog | sed -n '/^dispatcher/,/state/p'
  dispatcher:
    state: running
  $ settled
