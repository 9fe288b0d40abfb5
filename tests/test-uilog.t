Each event runs its script, as stock hg's logtoprocess does, and the command
does not notice.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat > $TESTTMP/say.py << END
  > from mercurial import registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'say', [], b'WORD...', optionalrepo=True)
  > def say(ui, repo, *words):
  >     for word in words:
  >         ui.log(b'said', b'somebody said %s\n', word, word=word)
  >         ui.status(b'%s\n' % word)
  > END
  $ cat >> $HGRCPATH << END
  > say = $TESTTMP/say.py
  > [uilog]
  > # one after the other, so that what they append is in order
  > max-scripts = 1
  > END
  $ hg init repo
  $ cd repo

The environment of a script
===========================

The same script describes itself under stock logtoprocess and under uilog:
cwd, umask, user, signals, session, descriptors, environment. hg itself has
more of these than it may pass on. Two things differ: there are more variables,
and standard error is kept to tell why a script has failed.

  $ cat > $TESTTMP/surroundings.hgrc << END
  > [logtoprocess]
  > said = "$helpers/snapshot.sh" "$got/\$LOGGED_BY"
  > END
  $ TEST_SESSION=`ps -o sid= -p $$`
  $ export TEST_SESSION
  $ run_hg() {
  >     (umask 027; exec 9< $HGRCPATH;
  >      HGRCPATH=$HGRCPATH:$TESTTMP/surroundings.hgrc hg "$@")
  > }
  $ LOGGED_BY=stock run_hg say hello \
  >     --config extensions.uilog=! --config extensions.logtoprocess=
  hello
  $ wait_for test -e $got/stock
  $ settled
  $ LOGGED_BY=uilog run_hg say hello
  hello
  $ settled
  $ sed -e 's/HGPID=[0-9]*$/HGPID=N/' -e 's/LOGGED_BY=.*/LOGGED_BY=/' \
  >     -i $got/stock $got/uilog
  $ diff -U0 $got/stock $got/uilog | sed '1,3d'
  -fd 2 /dev/null
  +fd 2 pipe:* (glob)
  @@ * @@ (glob)
  \+env UILOG_DEPTH=1 (re)
  \+env UILOG_EVENT_ID=[0-9a-f]{32}-1 (re)
  \+env UILOG_SESSION=[0-9a-f]{32} (re)
  \+env UILOG_TIME=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 (re)
  $ grep -v '^env' $got/uilog
  cwd $TESTTMP/repo
  umask 0027
  ids * (glob)
  signals ignored: SIGINT SIGQUIT
  signals blocked: none
  session: its own, no terminal
  fd 0 /dev/null
  fd 1 /dev/null
  fd 2 pipe:* (glob)
  
  $ grep -E '^env (EVENT|MSG1|OPT_.*|HG)=' $got/uilog
  env EVENT=said
  env HG=*/hg (glob)
  env MSG1=somebody said hello
  env OPT_WORD=hello

HGPID is hg's own.

  $ sh -c 'echo $$; exec hg say hello -q --config "logtoprocess.said=
  >     echo \$HGPID > $got/hgpid"' > $TESTTMP/pid
  $ settled
  $ cmp $TESTTMP/pid $got/hgpid

What stock hg's own commands log

  $ cat >> $HGRCPATH << END
  > [logtoprocess]
  > command = $save_environ
  > commandfinish = $save_environ
  > END
  $ hg root
  $TESTTMP/repo
  $ settled
  $ environ $got/command EVENT MSG1 OPT_RETURN_CODE
  EVENT=command
  MSG1=root\n
  OPT_RETURN_CODE=(none)
  $ environ $got/commandfinish EVENT MSG1 OPT_RETURN_CODE \
  >     OPT_CANONICAL_COMMAND OPT_DURATION
  EVENT=commandfinish
  MSG1=root exited 0 after *.?? seconds\n (glob)
  OPT_RETURN_CODE=0
  OPT_CANONICAL_COMMAND=root
  OPT_DURATION=[0-9.e-]+ (re)
  $ hg log -r nope
  abort: unknown revision 'nope'
  [10]
  $ settled
  $ environ $got/commandfinish MSG1 OPT_RETURN_CODE
  MSG1=log -r nope exited 10 after *.?? seconds\n (glob)
  OPT_RETURN_CODE=10

An empty value switches an event off

  $ rm $got/*
  $ hg root --config logtoprocess.command=
  $TESTTMP/repo
  $ settled
  $ ls $got
  commandfinish

  $ cat >> $HGRCPATH << END
  > [logtoprocess]
  > command =
  > commandfinish =
  > END

The script's text
=================

It reaches the shell as it stands: with comments, over lines, quoted.

  $ cat >> $HGRCPATH << 'END'
  > [logtoprocess]
  > said = printf 'said %s' "$MSG1" >> $got/log
  > END
  $ script() {
  >     hg say word -q --config "logtoprocess.said=$1"
  >     settled
  >     cat $got/log
  >     rm -f $got/log
  > }
  $ script 'echo comment >> $got/log # a comment'
  comment
  $ script 'echo "(quotes" '"'"'and) '"'"' \"parens\" >> $got/log'
  (quotes and)  "parens"
  $ script '(echo subshell; echo "two $(echo commands)") >> $got/log'
  subshell
  two commands
  $ script 'cat >> $got/log << X
  > here document
  > X'
  here document
  $ cat > $TESTTMP/lines.hgrc << 'END'
  > [logtoprocess]
  > said = echo first >> $got/log
  >   if test -n "$EVENT"; then  # not a word of it is changed
  >     echo second >> $got/log
  >   fi
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/lines.hgrc hg say word -q
  $ settled
  $ cat $got/log
  first
  second
  $ rm $got/log

A script that cannot be found or fails does not matter to the command. The
journal keeps it for later.

  $ hg say word --config logtoprocess.said=no-such-script
  word
  $ settled
  $ hg say word --config 'logtoprocess.said=exit 3'
  word
  $ settled
  $ hg say word --config 'logtoprocess.said=kill -9 $$'
  word
  $ settled
  $ hg debuguilog | sed -n '/^journal/,$p'
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 3
    events lost: 0
    ????-??-??T??:??:??.??????+00:00 failed said exit status 127: the script was not found (glob)
      defined at: --config
      repository: $TESTTMP/repo
      directory: $TESTTMP/repo
      duration: *.??? s (glob)
      stderr: *no-such-script*not found* (glob)
    ????-??-??T??:??:??.??????+00:00 failed said exit status 3 (glob)
      defined at: --config
      repository: $TESTTMP/repo
      directory: $TESTTMP/repo
      duration: *.??? s (glob)
    ????-??-??T??:??:??.??????+00:00 failed said killed by SIGKILL (glob)
      defined at: --config
      repository: $TESTTMP/repo
      directory: $TESTTMP/repo
      duration: *.??? s (glob)

The same for programs; a script of an hgrc has its line.

  $ hg debuguilog -T '{failures % "{event} {status} {signal} {source}\n"}'
  said 127  --config
  said 3  --config
  said  SIGKILL --config
  $ rm -r ~/.local/state/uilog
  $ cat > $TESTTMP/failing.hgrc << 'END'
  > [logtoprocess]
  > # a comment
  > said = echo why >&2; exit 2
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/failing.hgrc hg say hello -q
  $ settled
  $ hg debuguilog -T json | "$PYTHON" -c '
  > import json, sys
  > for it in json.load(sys.stdin)[0]["failures"]:
  >     print(it["source"], it["status"], repr(it["stderr"]))
  >     print(it["duration"] > 0, it["cwd"] == it["repository"])'
  $TESTTMP/failing.hgrc:3 2 'why\n'
  True True
  $ rm -r ~/.local/state/uilog

Where the configuration comes from
==================================

  $ log() {
  >     settled
  >     cat $got/log
  >     rm -f $got/log
  > }

  $ hg say plain
  plain
  $ log
  said somebody said plain
  $ HGPLAIN=1 hg say hgplain
  hgplain
  $ log
  said somebody said hgplain
  $ cat >> $HGRCPATH << 'END'
  > [alias]
  > mumble = say aliased
  > shout = !"$HG" say "from a shell alias"
  > END
  $ hg mumble
  aliased
  $ log
  said somebody said aliased
  $ hg shout
  from a shell alias
  $ log
  said somebody said from a shell alias
  $ hg say 'on the command line' --config \
  >     'logtoprocess.said=echo "instead: $OPT_WORD" >> $got/log'
  on the command line
  $ log
  instead: on the command line
  $ cat > .hg/hgrc << 'END'
  > [logtoprocess]
  > said = echo "in the repository: $OPT_WORD" >> $got/log
  > END
  $ hg say 'outside' --cwd ..
  outside
  $ log
  said somebody said outside
  $ hg say 'of the repository'
  of the repository
  $ log
  in the repository: of the repository
  $ hg say 'of that one' --cwd .. -R repo
  of that one
  $ log
  in the repository: of that one
  $ rm .hg/hgrc

Both extensions
===============

Each event is dispatched once, whichever is enabled first.

  $ for order in 'uilog logtoprocess' 'logtoprocess uilog'; do
  >     sed '/^uilog =/d' $HGRCPATH > $TESTTMP/both.hgrc
  >     for name in $order; do
  >         printf '[extensions]\n%s =\n' $name >> $TESTTMP/both.hgrc
  >     done
  >     HGRCPATH=$TESTTMP/both.hgrc hg say "$order"
  >     HGRCPATH=$TESTTMP/both.hgrc hg debuguilog | grep ^sinks
  >     log
  > done
  uilog logtoprocess
  sinks: logtoprocess
  said somebody said uilog logtoprocess
  logtoprocess uilog
  sinks: logtoprocess
  said somebody said logtoprocess uilog

The event on standard input
===========================

  $ hg say one two --config 'logtoprocess.said=cat >> $got/log' \
  >     --config logtoprocess.said:stdin=json
  one
  two
  $ settled
  $ cat > $TESTTMP/show.py << 'END'
  > import json, sys
  > for line in open(sys.argv[1]):
  >     for key, value in json.loads(line).items():
  >         print(key, json.dumps(value))
  > END
  $ "$PYTHON" $TESTTMP/show.py $got/log
  version 1
  event "said"
  id "[0-9a-f]{32}-1" (re)
  session "[0-9a-f]{32}" (re)
  parent_session null
  time "????-??-??T??:??:??.??????+00:00" (glob)
  duration null
  pid \d+ (re)
  user "*" (glob)
  root "$TESTTMP/repo"
  message "somebody said one\n"
  options {"word": "one"}
  lost 0
  version 1
  event "said"
  id "[0-9a-f]{32}-2" (re)
  session "[0-9a-f]{32}" (re)
  parent_session null
  time "????-??-??T??:??:??.??????+00:00" (glob)
  duration null
  pid \d+ (re)
  user "*" (glob)
  root "$TESTTMP/repo"
  message "somebody said two\n"
  options {"word": "two"}
  lost 0
  $ rm $got/log

A script that reads nothing of 2 MB holds up nobody, and one that reads gets
all of it.

  $ cat > $TESTTMP/long.py << 'END'
  > from mercurial import registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'long', [], norepo=True)
  > def long(ui):
  >     for number in range(3):
  >         ui.log(b'long', b'%s\n', b'x' * 2000000)
  > END
  $ hg long --config extensions.long=$TESTTMP/long.py \
  >     --config 'logtoprocess.long=echo unread >> $got/log' \
  >     --config logtoprocess.long:stdin=json
  $ log
  unread
  unread
  unread
  $ hg long --config extensions.long=$TESTTMP/long.py \
  >     --config 'logtoprocess.long=tr -cd x | wc -c >> $got/log' \
  >     --config logtoprocess.long:stdin=json
  $ log
  2000000
  2000000
  2000000

What the extension tells about itself
=====================================

Faults of the configuration are told with --debug, and where they are.

  $ cat > $TESTTMP/faults.hgrc << END
  > [uilog]
  > max-scripts = lots
  > script-timeout = -1
  > [logtoprocess]
  > said:stdin = xml
  > nothing:stdin = json
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/faults.hgrc hg say quietly
  quietly
  $ HGRCPATH=$HGRCPATH:$TESTTMP/faults.hgrc hg say loudly --debug
  uilog: $TESTTMP/faults.hgrc:2: uilog.max-scripts: 'lots' is not a number from 1 to 1024, using 8
  uilog: $TESTTMP/faults.hgrc:3: uilog.script-timeout: '-1' is not a number of seconds, using 600
  uilog: $TESTTMP/faults.hgrc:5: logtoprocess.said:stdin: 'xml' is not 'json', using /dev/null
  uilog: $TESTTMP/faults.hgrc:6: logtoprocess.nothing:stdin: there is no script for it
  loudly
  $ HGRCPATH=$HGRCPATH:$TESTTMP/faults.hgrc hg debuguilog | grep faults.hgrc
    uilog.max-scripts = lots ($TESTTMP/faults.hgrc:2)
    uilog.script-timeout = -1 ($TESTTMP/faults.hgrc:3)
    logtoprocess.said:stdin = xml ($TESTTMP/faults.hgrc:5)
    logtoprocess.nothing:stdin = json ($TESTTMP/faults.hgrc:6)
    uilog.max-scripts: 'lots' is not a number from 1 to 1024, using 8 ($TESTTMP/faults.hgrc:2)
    uilog.script-timeout: '-1' is not a number of seconds, using 600 ($TESTTMP/faults.hgrc:3)
    logtoprocess.said:stdin: 'xml' is not 'json', using /dev/null ($TESTTMP/faults.hgrc:5)
    logtoprocess.nothing:stdin: there is no script for it ($TESTTMP/faults.hgrc:6)
  $ settled
  $ rm $got/log

Every item is documented and registered.

  $ for topic in uilog uilog.scripts uilog.off; do hg help $topic; done \
  >     > $TESTTMP/help
  $ for name in max-scripts script-timeout queue-size :stdin \
  >     EVENT MSG1 OPT_ HGPID UILOG_EVENT_ID UILOG_SESSION UILOG_TIME \
  >     UILOG_TRUNCATED debuguilog UILOG=off enabled; do
  >     grep -q -- "$name" $TESTTMP/help || echo "no $name"
  > done
  $ hg help uilog | sed -n '/^Topics/,/^off/p'
  Topics, such as 'hg help uilog.scripts':
  
  scripts       Scripts that events run
  events        Options and events that uilog adds
  peers         Connections to other repositories
  blackbox      The blackbox
  sinks         Destinations for records
  privacy       What sinks are not told
  fleet         Many users and machines
  failures      What has failed or was lost
  off           Switching uilog off
  $ hg help uilog.agent-idle
  uilog.agent-idle
  """"""""""""""""
  
      Seconds without a record until the agent exits.
  
      Type          a number of seconds
      Unit          seconds
      Default       "10"
      Topic         fleet
      Since         uilog 0.1.0
  
      For example:
  
        [uilog]
        agent-idle = 60
  $ hg help uilog.:track | head -1
  uilog.sink.NAME:track
  $ hg help uilog.sinks.urls | head -1
      URLs
  $ uilog help agent-idel
  uilog: there is no command, topic, setting or event 'agent-idel': did you mean 'agent-idle'?
  [2]
  $ ls "`uilog help --path`" | grep configuration
  configuration.md
  $ hg version --verbose | grep uilog
    uilog  external  [0-9.]+ (re)
  $ hg help debuguilog | head -1
  hg debuguilog [-T TEMPLATE]
  $ hg config uilog logtoprocess --config logtoprocess.any-event=true \
  >     --config devel.all-warnings=1
  logtoprocess.command=
  logtoprocess.commandfinish=
  logtoprocess.said=printf 'said %s' "$MSG1" >> $got/log
  logtoprocess.any-event=true
  uilog.agent-idle=0
  uilog.max-scripts=1
  $ hg config uilog.script-timeout -T '{name} {defaultvalue}\n'
  [1]
  $ hg say quietly --config devel.all-warnings=1 --config uilog.queue-size=2MB
  quietly
  $ log
  said somebody said quietly

  $ hg debuguilog
  version: * (glob)
  session: [0-9a-f]{32} (re)
  sinks: logtoprocess
  settings:
    uilog.enabled = yes (default)
    uilog.max-scripts = 1 (*:*) (glob)
    uilog.script-timeout = 600 (default)
    uilog.queue-size = 64 MB (default)
    uilog.peer-timeout = 5 (default)
    uilog.peer-close-max = 30 (default)
    uilog.agent = yes (default)
    uilog.agent-idle = 0 (*:*) (glob)
    uilog.slow-command = 60 (default)
    uilog.agent-queues-size = 256 MB (default)
    uilog.queue-dir =  (default)
    uilog.deliver-before-exit = auto (default)
    uilog.spool =  (default)
    uilog.spool-max-size = 64 MB (default)
    uilog.spool-max-age = 7 days (default)
    uilog.history = no (default)
    uilog.history-max-size = 256 MB (default)
    uilog.history-max-age = 90 days (default)
    uilog.redact-config =  (default)
  scripts:
    logtoprocess.command =  (*:*) (glob)
    logtoprocess.commandfinish =  (*:*) (glob)
    logtoprocess.said = printf 'said %s' "$MSG1" >> $got/log (*:*) (glob)
  dispatcher:
    state: running
    program: */bin/uilog (glob)
    starts: 1
    pid: \d+ (re)
    jobs: 0
    waiting: 0
    started: 0
    succeeded: 0
    failed: 0
    not-started: 0
    timed-out: 0
    records: 0
    records-lost: 0
    queue-bytes: 0
    last-failure: 
  records:
    way: none
    agent: 
    queue: 
    no-queue-because: 
    appended: 0
    waiting: 0
    done: 0
    lost: 0
    bytes: 0
    starts: 0
    last-failure: 
  lost by cause: nothing
  counters:
    events: 0
    delivered: 0
    lost: 0
    fault-format: 0
    fault-unprintable: 0
    fault-foreign-logger: 0
    fault-recursion: 0
    fault-peer: 0
    fault-log-file: 0
    fault-internal: 0
  peers:
    opened: 0
    open: 0
    closed: 0
    timeout: 0
    cut: 0
    killed: 0
    interrupted: 0
    foreign-fork: 0
    leaked: 0
  problems: 0
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 0
    events lost: 0
  $ hg debuguilog -T json
  [
   {
    "causes": [],
    "configfaults": [],
    "counters": [{"delivered": 0, "events": 0, "faultforeignlogger": 0, "faultformat": 0, "faultinternal": 0, "faultlogfile": 0, "faultpeer": 0, "faultrecursion": 0, "faultunprintable": 0, "lost": 0}],
    "dispatcher": [{"failed": 0, "jobs": 0, "lastfailure": "", "notstarted": 0, "pid": *, "program": "*/bin/uilog", "queuebytes": 0, "records": 0, "recordslost": 0, "started": 0, "starts": 1, "state": "running", "succeeded": 0, "timedout": 0, "waiting": 0}], (glob)
    "failures": [],
    "journal": "$TESTTMP/.local/state/uilog/failures.jsonl",
    "journalfallback": "",
    "journalproblem": "",
    "off": [],
    "peers": [{"closed": 0, "cut": 0, "foreignfork": 0, "interrupted": 0, "killed": 0, "leaked": 0, "open": 0, "opened": 0, "timeout": 0}],
    "problems": [],
    "records": [{"agent": "", "appended": 0, "bytes": 0, "done": 0, "lastfailure": "", "lost": 0, "noqueuebecause": "", "queue": "", "starts": 0, "waiting": 0, "way": "none"}],
    "scripts": [{"name": "command", "source": "*:*", "value": ""}, {"name": "commandfinish", "source": "*:*", "value": ""}, {"name": "said", "source": "*:*", "value": "printf 'said %s' \"$MSG1\" >> $got/log"}], (glob)
    "session": "[0-9a-f]{32}", (re)
    "settings": [{"name": "enabled", "source": "default", "value": "yes"}, {"name": "max-scripts", "source": "*:*", "value": "1"}, {"name": "script-timeout", "source": "default", "value": "600"}, {"name": "queue-size", "source": "default", "value": "64 MB"}, {"name": "peer-timeout", "source": "default", "value": "5"}, {"name": "peer-close-max", "source": "default", "value": "30"}, {"name": "agent", "source": "default", "value": "yes"}, {"name": "agent-idle", "source": "*:*", "value": "0"}, {"name": "slow-command", "source": "default", "value": "60"}, {"name": "agent-queues-size", "source": "default", "value": "256 MB"}, {"name": "queue-dir", "source": "default", "value": ""}, {"name": "deliver-before-exit", "source": "default", "value": "auto"}, {"name": "spool", "source": "default", "value": ""}, {"name": "spool-max-size", "source": "default", "value": "64 MB"}, {"name": "spool-max-age", "source": "default", "value": "7 days"}, {"name": "history", "source": "default", "value": "no"}, {"name": "history-max-size", "source": "default", "value": "256 MB"}, {"name": "history-max-age", "source": "default", "value": "90 days"}, {"name": "redact-config", "source": "default", "value": ""}], (glob)
    "sinks": ["logtoprocess"],
    "switchedoff": null,
    "urls": [],
    "variableproblem": null,
    "version": "*" (glob)
   }
  ]
  $ hg debuguilog -T '{version}: {settings % "{name}={value} "}\n'
  *: enabled=yes max-scripts=1 script-timeout=600 queue-size=64 MB peer-timeout=5 peer-close-max=30 agent=yes agent-idle=0 slow-command=60 agent-queues-size=256 MB queue-dir= deliver-before-exit=auto spool= spool-max-size=64 MB spool-max-age=7 days history=no history-max-size=256 MB history-max-age=90 days redact-config=  (glob)
  $ settled

The program

  $ uilog --version
  uilog \d+\.\d+\.\d+ (re)
  $ uilog 2>&1 | grep Usage
  Usage: uilog <COMMAND>
  $ uilog --help | grep Usage
  Usage: uilog <COMMAND>
  $ uilog dispatch < /dev/null
  uilog: dispatch: hg starts this, * (glob)
  [1]
