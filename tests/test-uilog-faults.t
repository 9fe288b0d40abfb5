What would make stock hg fail or lose the event: the command goes on as if
nothing had happened, the script gets what can be had, the fault is counted and
shown with --debug.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat > $TESTTMP/faulty.py << 'END'
  > import os
  > import sys
  > from mercurial import pycompat, registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > cases = {}
  > def case(func):
  >     cases[func.__name__.encode()] = func
  > @command(b'case', [], b'CASE', norepo=True)
  > def runcase(ui, name):
  >     ui.status(b'before\n')
  >     cases[name](ui)
  >     logger = ui.getlogger(b'uilog')
  >     if logger is None:
  >         return
  >     for name, count in logger.status()['counters'].items():
  >         if count:
  >             ui.status(b'%s: %d\n' % (name.encode(), count))
  > END
  $ cat >> $HGRCPATH << END
  > faulty = $TESTTMP/faulty.py
  > [uilog]
  > max-scripts = 1
  > [logtoprocess]
  > logged = $save_environ
  > END

The room for arguments and environment hangs on the limit for stacks.

  $ ulimit -S -s 8192

try CASE NAME...: the command as it is, and the named variables of its script;
then with --debug.

  $ try() {
  >     name=$1
  >     shift
  >     rm -f $got/*
  >     hg case $name || echo "exit status $?"
  >     settled
  >     environ $got/logged "$@"
  > }
  $ debug() {
  >     hg case $1 --debug 2>&1 | grep ^uilog:
  >     settled
  > }

An event without any fault, for comparison

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def plain(ui):
  >     ui.log(b'logged', b'%s %d\n', b'plain', 1, word=b'yes')
  > END
  $ try plain MSG1 OPT_WORD UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  MSG1=plain 1\n
  OPT_WORD=yes
  UILOG_TRUNCATED=(none)
  $ debug plain

Size
====

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def longoption(ui):
  >     ui.log(b'logged', b'm\n', long=b'x' * 200000, short=b's')
  > @case
  > def longstring(ui):
  >     # the longest value that one string takes, and one byte more
  >     fits = 128 * 1024 - len('OPT_FITS=') - 1
  >     ui.log(b'logged', b'm\n', fits=b'x' * fits, over=b'x' * (fits + 1))
  > @case
  > def longoptions(ui):
  >     options = {'n%02d' % n: b'x' * 100000 for n in range(40)}
  >     ui.log(b'logged', b'm\n', short=b's', **options)
  > @case
  > def manyoptions(ui):
  >     options = {'n%05d' % n: b'%d' % n for n in range(20000)}
  >     ui.log(b'logged', b'm\n', **options)
  > @case
  > def message(ui):
  >     ui.log(b'logged', b'%s', b'x' * 100000)
  > @case
  > def longmessage(ui):
  >     ui.log(b'logged', b'%s', b'x' * 100000 + b'y')
  > @case
  > def hugemessage(ui):
  >     ui.log(b'logged', b'%s', b'x' * 10000000)
  > END

One option of 200 KB

  $ try longoption MSG1 OPT_LONG OPT_SHORT UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  MSG1=m\n
  OPT_LONG=131062 bytes: xxxxxxxx...xxxxxxxx (truncated)
  OPT_SHORT=s
  UILOG_TRUNCATED=OPT_LONG

One byte too many

  $ try longstring OPT_FITS OPT_OVER UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  OPT_FITS=131062 bytes: xxxxxxxx...xxxxxxxxxxxxxxxxxxxx
  OPT_OVER=131062 bytes: xxxxxxxx...xxxxxxxx (truncated)
  UILOG_TRUNCATED=OPT_OVER

4 MB of options: none is cut more than another, and what is short stays

  $ try longoptions MSG1 OPT_N00 OPT_N39 OPT_SHORT EVENT UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  MSG1=m\n
  OPT_N00=4???? bytes: xxxxxxxx...xxxxxxxx (truncated) (glob)
  OPT_N39=4???? bytes: xxxxxxxx...xxxxxxxx (truncated) (glob)
  OPT_SHORT=s
  EVENT=logged
  UILOG_TRUNCATED=\d+ bytes: OPT_N00 .*N37 OPT_N38 OPT_N39 (re)
  $ tr '\0' '\n' < $got/logged | sed -n 's/^OPT_N..=//p' | sort | uniq -c |
  >     sed 's/x\{1000,\}/x.../'
   *40 x\.\.\. \(truncated\) (re)
  $ tr '\0' '\n' < $got/logged | sed -n 's/^UILOG_TRUNCATED=//p'
  OPT_N00 OPT_N01 OPT_N02 OPT_N03 OPT_N04 OPT_N05 OPT_N06 OPT_N07 OPT_N08 OPT_N09 OPT_N10 OPT_N11 OPT_N12 OPT_N13 OPT_N14 OPT_N15 OPT_N16 OPT_N17 OPT_N18 OPT_N19 OPT_N20 OPT_N21 OPT_N22 OPT_N23 OPT_N24 OPT_N25 OPT_N26 OPT_N27 OPT_N28 OPT_N29 OPT_N30 OPT_N31 OPT_N32 OPT_N33 OPT_N34 OPT_N35 OPT_N36 OPT_N37 OPT_N38 OPT_N39
  $ (ulimit -S -s 512; try longoptions OPT_N00 OPT_N39 OPT_SHORT EVENT)
  before
  events: 1
  delivered: 1
  OPT_N00=2??? bytes: xxxxxxxx...xxxxxxxx (truncated) (glob)
  OPT_N39=2??? bytes: xxxxxxxx...xxxxxxxx (truncated) (glob)
  OPT_SHORT=s
  EVENT=logged

20,000 options

  $ try manyoptions OPT_N00000 OPT_N19999 UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  OPT_N00000=0
  OPT_N19999=19999
  UILOG_TRUNCATED=(none)

The message is cut where stock hg cuts it

  $ try message MSG1 UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  MSG1=100000 bytes: xxxxxxxx...xxxxxxxxxxxxxxxxxxxx
  UILOG_TRUNCATED=(none)
  $ try longmessage MSG1 UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  MSG1=100012 bytes: xxxxxxxx...xxxxxxxx (truncated)
  UILOG_TRUNCATED=MSG1
  $ try hugemessage MSG1 UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  MSG1=100012 bytes: xxxxxxxx...xxxxxxxx (truncated)
  UILOG_TRUNCATED=MSG1

The user's own environment counts, too: one variable of 100 KB, one that could
not be passed to any program, and many that could not be together.

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def environment(ui):
  >     os.environ['LONG'] = 'x' * 100000
  >     ui.log(b'logged', b'm\n', short=b's')
  > @case
  > def longvariable(ui):
  >     os.environ['LONG'] = 'x' * 200000
  >     ui.log(b'logged', b'm\n', short=b's')
  > @case
  > def longenvironment(ui):
  >     for number in range(70):
  >         os.environ['LONG%02d' % number] = 'x' * 100000
  >     ui.log(b'logged', b'm\n', short=b's', long=b'x' * 100000)
  > END
  $ try environment LONG OPT_SHORT UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  LONG=100000 bytes: xxxxxxxx...xxxxxxxxxxxxxxxxxxxx
  OPT_SHORT=s
  UILOG_TRUNCATED=(none)
  $ try longvariable LONG OPT_SHORT UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  LONG=131066 bytes: xxxxxxxx...xxxxxxxx (truncated)
  OPT_SHORT=s
  UILOG_TRUNCATED=LONG
  $ try longenvironment LONG00 LONG69 OPT_SHORT MSG1 HOME
  before
  events: 1
  delivered: 1
  LONG00=2???? bytes: xxxxxxxx...xxxxxxxx (truncated) (glob)
  LONG69=2???? bytes: xxxxxxxx...xxxxxxxx (truncated) (glob)
  OPT_SHORT=s
  MSG1=m\n
  HOME=$TESTTMP
  $ tr '\0' '\n' < $got/logged | grep -c '^LONG..=x* (truncated)$'
  70

A user's variables do not get in the way of the event's.

  $ EVENT=mine MSG1=mine OPT_WORD=mine OPT_OTHER=mine UILOG_TRUNCATED=mine \
  >     UILOG_TIME=mine try plain EVENT MSG1 OPT_WORD OPT_OTHER UILOG_TRUNCATED
  before
  events: 1
  delivered: 1
  EVENT=logged
  MSG1=plain 1\n
  OPT_WORD=yes
  OPT_OTHER=mine
  UILOG_TRUNCATED=(none)

Content
=======

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def nul(ui):
  >     ui.log(b'logged', b'a\0b\n', bytes=b'c\0d\0', str='e\0f')
  > @case
  > def keys(ui):
  >     options = {
  >         'exthook-pre-status_blocked': 1,
  >         'a=b': 2,
  >         'c\0d': 3,
  >         'e f': 4,
  >         'taken_name': 5,
  >         'taken-name': 6,
  >         'gr\u00fcn': 7,
  >         '': 8,
  >     }
  >     ui.log(b'logged', b'm\n', **options)
  > @case
  > def text(ui):
  >     ui.log(b'logged', b'm\xe9\n', bytes=b'\xe9\xff', str='\u00fc\u20ac',
  >         undecodable='x\udce9', surrogate='x\ud800')
  > class WithBytes:
  >     def __bytes__(self):
  >         return b'as bytes'
  > @case
  > def types(ui):
  >     ui.log(b'logged', b'm\n', true=True, false=False, none=None, int=-3,
  >         float=1.5, array=bytearray(b'array'), list=[b'x', 'y'],
  >         withbytes=WithBytes(), big=10 ** 30)
  > END

NUL bytes

  $ try nul MSG1 OPT_BYTES OPT_STR
  before
  events: 1
  delivered: 1
  MSG1=a\\0b\n
  OPT_BYTES=c\\0d\\0
  OPT_STR=e\\0f
  $ debug nul

Keys that no variable can be named after. Their stock name stays where it can.

  $ try keys OPT_EXTHOOK-PRE-STATUS_BLOCKED OPT_EXTHOOK_PRE_STATUS_BLOCKED \
  >     OPT_A OPT_A_B OPT_C_D 'OPT_E F' OPT_E_F OPT_TAKEN_NAME \
  >     OPT_TAKEN-NAME OPT_TAKEN_NAME_2 OPT_
  before
  events: 1
  delivered: 1
  OPT_EXTHOOK-PRE-STATUS_BLOCKED=1
  OPT_EXTHOOK_PRE_STATUS_BLOCKED=1
  OPT_A=(none)
  OPT_A_B=2
  OPT_C_D=3
  OPT_E F=4
  OPT_E_F=4
  OPT_TAKEN_NAME=5
  OPT_TAKEN-NAME=6
  OPT_TAKEN_NAME_2=6
  OPT_=8
  $ hg case keys --config 'logtoprocess.logged=
  >     echo $OPT_EXTHOOK_PRE_STATUS_BLOCKED $OPT_A_B $OPT_C_D > $got/logged'
  before
  events: 1
  delivered: 1
  $ settled
  $ cat $got/logged
  1 2 3

Text in other encodings

  $ try text MSG1 OPT_BYTES OPT_STR OPT_UNDECODABLE OPT_SURROGATE
  before
  events: 1
  delivered: 1
  MSG1=m\xe9\n
  OPT_BYTES=\xe9\xff
  OPT_STR=\xc3\xbc\xe2\x82\xac
  OPT_UNDECODABLE=x\xe9
  OPT_SURROGATE=x\\ud800

Other types, as stock hg shows them

  $ try types OPT_TRUE OPT_FALSE OPT_NONE OPT_INT OPT_FLOAT OPT_ARRAY \
  >     OPT_LIST OPT_WITHBYTES OPT_BIG
  before
  events: 1
  delivered: 1
  OPT_TRUE=1
  OPT_FALSE=0
  OPT_NONE=0
  OPT_INT=-3
  OPT_FLOAT=1.5
  OPT_ARRAY=array
  OPT_LIST=[b'x', 'y']
  OPT_WITHBYTES=as bytes
  OPT_BIG=1000000000000000000000000000000

  $ cat > $TESTTMP/types.hgrc << 'END'
  > [logtoprocess]
  > logged = env | grep ^OPT_ | sort > "$got/$LOGGED_BY.new"
  >     mv "$got/$LOGGED_BY.new" "$got/$LOGGED_BY"
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/types.hgrc LOGGED_BY=uilog hg case types -q
  $ HGRCPATH=$HGRCPATH:$TESTTMP/types.hgrc LOGGED_BY=stock hg case types -q \
  >     --config extensions.uilog=! --config extensions.logtoprocess=
  $ wait_for test -e $got/stock
  $ settled
  $ cmp $got/uilog $got/stock
  $ wc -l < $got/uilog
  9

Messages
========

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def percent(ui):
  >     ui.log(b'logged', b'100% of %s and %d, %%\n')
  > @case
  > def doubled(ui):
  >     ui.log(b'logged', b'100%%\n')
  > @case
  > def wrongtype(ui):
  >     ui.log(b'logged', b'%d files in %s\n', b'many', b'places')
  > @case
  > def toofew(ui):
  >     ui.log(b'logged', b'%s %s\n', b'one')
  > @case
  > def toomany(ui):
  >     ui.log(b'logged', b'none\n', b'one', 2)
  > @case
  > def strarg(ui):
  >     ui.log(b'logged', b'%s\n', 'text')
  > @case
  > def strformat(ui):
  >     ui.log(b'logged', '%s\n', b'text')
  > END

Finished text that holds a '%', as several of hg's own calls pass it

  $ try percent MSG1
  before
  events: 1
  delivered: 1
  fault-format: 1
  MSG1=100% of %s and %d, %%\n
  $ debug percent
  uilog: logged: message does not fit: TypeError: not enough arguments for format string
  $ try doubled MSG1
  before
  events: 1
  delivered: 1
  MSG1=100%\n
  $ cat > $TESTTMP/warner.py << 'END'
  > from mercurial import registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'warner', [], norepo=True)
  > def warner(ui):
  >     ui.develwarn(b'only 50% sure, %s', config=b'all-warnings')
  > END
  $ hg warner --config extensions.warner=$TESTTMP/warner.py \
  >     --config logtoprocess.develwarn="$save_environ" \
  >     --config devel.all-warnings=1
  devel-warn: only 50% sure, %s at: *util.py:* (check) (glob)
  $ settled
  $ tr '\0' '\n' < $got/develwarn | grep ^MSG1=
  MSG1=devel-warn: only 50% sure, %s at: *util.py:* (check) (glob)

Arguments that do not fit

  $ try wrongtype MSG1
  before
  events: 1
  delivered: 1
  fault-format: 1
  MSG1=%d files in %s b'many' b'places'\n
  $ debug wrongtype
  uilog: logged: message does not fit: TypeError: %d format: a real number is required, not bytes
  $ try toofew MSG1
  before
  events: 1
  delivered: 1
  fault-format: 1
  MSG1=%s %s b'one'\n
  $ try toomany MSG1
  before
  events: 1
  delivered: 1
  fault-format: 1
  MSG1=none b'one' 2\n
  $ try strarg MSG1
  before
  events: 1
  delivered: 1
  fault-format: 1
  MSG1=%s 'text'\n
  $ try strformat MSG1
  before
  events: 1
  delivered: 1
  MSG1=b'text'\n

Objects that raise
==================

  $ cat >> $TESTTMP/faulty.py << 'END'
  > class Raises:
  >     def __str__(self):
  >         raise RuntimeError('no text')
  >     __repr__ = __bytes__ = __str__
  > class RaisesAlways(Raises):
  >     def __getattribute__(self, name):
  >         raise SystemError('no ' + name)
  > class NoBytes:
  >     def __bytes__(self):
  >         return 'no bytes'
  > @case
  > def raises(ui):
  >     ui.log(b'logged', b'm\n', raises=Raises(), always=RaisesAlways(),
  >         nobytes=NoBytes(), word=b'yes')
  > @case
  > def raisingarg(ui):
  >     ui.log(b'logged', b'%s %s\n', b'good', Raises())
  > END
  $ try raises OPT_RAISES OPT_ALWAYS OPT_NOBYTES OPT_WORD MSG1
  before
  events: 1
  delivered: 1
  fault-unprintable: 3
  OPT_RAISES=<unprintable Raises>
  OPT_ALWAYS=<unprintable RaisesAlways>
  OPT_NOBYTES=<unprintable NoBytes>
  OPT_WORD=yes
  MSG1=m\n
  $ debug raises
  uilog: a Raises could not be printed: RuntimeError: no text
  uilog: a RaisesAlways could not be printed: SystemError: no __bytes__
  uilog: a NoBytes could not be printed: TypeError: 'str' object is not an instance of 'bytes'
  $ try raisingarg MSG1
  before
  events: 1
  delivered: 1
  fault-format: 1
  MSG1=%s %s b'good' <unprintable Raises>\n
  $ debug raisingarg
  uilog: logged: message does not fit: RuntimeError: no text

Other loggers
=============

  $ cat >> $TESTTMP/faulty.py << 'END'
  > class Logger:
  >     def __init__(self, name):
  >         self.name = name
  >     def tracked(self, event):
  >         return event in (b'logged', b'inner')
  >     def log(self, ui, event, msg, opts):
  >         ui.status(b'%s: %s: %s' % (self.name, event, msg))
  > class RaisingLogger(Logger):
  >     def log(self, ui, event, msg, opts):
  >         raise RuntimeError('cannot log')
  > class RaisingTracked(Logger):
  >     def tracked(self, event):
  >         if event == b'logged':
  >             raise RuntimeError('cannot tell')
  > class LoggingLogger(Logger):
  >     def log(self, ui, event, msg, opts):
  >         super().log(ui, event, msg, opts)
  >         ui.log(b'inner', b'logged while logging: %s', msg)
  > @case
  > def raisinglogger(ui):
  >     ui.setlogger(b'first', Logger(b'first'))
  >     ui.setlogger(b'raising', RaisingLogger(b'raising'))
  >     ui.setlogger(b'asking', RaisingTracked(b'asking'))
  >     ui.setlogger(b'last', Logger(b'last'))
  >     ui.log(b'logged', b'm %s\n', b'arg', word=b'yes')
  > @case
  > def logginglogger(ui):
  >     ui.setlogger(b'logging', LoggingLogger(b'logging'))
  >     ui.log(b'logged', b'm\n')
  > class LogsWhenShown:
  >     def __init__(self, ui):
  >         self.ui = ui
  >         self.shown = 0
  >     def __str__(self):
  >         self.shown += 1
  >         self.ui.log(b'logged', b'level %d\n', self.shown, again=self)
  >         return 'shown'
  > @case
  > def recursion(ui):
  >     ui.log(b'logged', b'level 0\n', again=LogsWhenShown(ui))
  > END

Another one's logger raises: all others get the event.

  $ try raisinglogger MSG1 OPT_WORD
  before
  first: logged: m arg
  last: logged: m arg
  events: 1
  delivered: 1
  fault-foreign-logger: 2
  MSG1=m arg\n
  OPT_WORD=yes
  $ debug raisinglogger
  uilog: logged: logger asking failed: RuntimeError: cannot tell
  uilog: logged: logger raising failed: RuntimeError: cannot log

One that logs while it logs: our script gets that as well, nobody gets it twice.

  $ rm -f $got/*
  $ hg case logginglogger --config logtoprocess.inner="$save_environ"
  before
  logging: logged: m
  events: 2
  delivered: 2
  $ settled
  $ environ $got/logged MSG1
  MSG1=m\n
  $ environ $got/inner MSG1
  MSG1=logged while logging: m\n

An option that logs itself when it is shown, without end

  $ rm -f $got/*
  $ hg case recursion --config \
  >     'logtoprocess.logged=echo "$OPT_AGAIN $MSG1" >> $got/logged'
  before
  events: 4
  delivered: 4
  fault-recursion: 1
  $ settled
  $ cat $got/logged
  shown level 3
  
  shown level 2
  
  shown level 1
  
  shown level 0
  
  $ debug recursion
  uilog: an event was logged while logging, too deep

A logger that raises when the command finishes costs neither its status nor the
exit handlers.

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def finish(ui):
  >     class AtFinish(RaisingLogger):
  >         def tracked(self, event):
  >             return event == b'commandfinish'
  >     ui.setlogger(b'atfinish', AtFinish(b'atfinish'))
  >     ui.atexit(lambda: ui.status(b'exit handler\n'))
  > END
  $ rm -f $got/*
  $ hg case finish --config logtoprocess.commandfinish="$save_environ"
  before
  exit handler
  $ settled
  $ environ $got/commandfinish OPT_RETURN_CODE
  OPT_RETURN_CODE=0

A command that fails unexpectedly

  $ cat >> $TESTTMP/faulty.py << 'END'
  > @case
  > def crash(ui):
  >     raise RuntimeError('100% broken')
  > END
  $ hg case crash --config logtoprocess.commandexception="$save_environ" \
  >     > $TESTTMP/out 2>&1
  [1]
  $ settled
  $ grep RuntimeError: $TESTTMP/out
  RuntimeError: 100% broken
  $ tr '\0' '\n' < $got/commandexception | grep RuntimeError:
  RuntimeError: 100% broken
  RuntimeError: 100% broken

Scripts that run hg
===================

A script whose hg runs the script again comes to an end.

  $ rm -f $got/*
  $ cat >> $HGRCPATH << 'END'
  > [logtoprocess]
  > logged = echo x >> $got/logged; "$HG" case plain
  > END
  $ hg case plain
  before
  events: 1
  delivered: 1
  $ settled
  $ test `wc -l < $got/logged` -lt 100
  $ hg debuguilog | sed -n '/^journal/,$p'
  journal: $TESTTMP/.local/state/uilog/failures.jsonl
    failures: 1
    events lost: 1
    ????-??-??T??:??:??.??????+00:00 lost logged scripts that run hg are nested 5 deep already (glob)
  $ rm -r ~/.local/state/uilog

Mistakes in the configuration are named with --debug, each once.

  $ cat > $TESTTMP/mistakes.rc << END
  > [logtoprocess]
  > comandfinish = true
  > command:sdtin = json
  > somebodyelses = true
  > [uilog]
  > max-script = 3
  > sink.f = file:$TESTTMP/f.jsonl
  > sink.f:trak = x
  > sink.f:track = comand
  > sink.g:track = command
  > sink.noscheme = nonsense:y
  > sink.nohost = otlp:https://
  > sink.nofile = file:/dev/null/x
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/mistakes.rc hg root --debug 2>&1 \
  >     | grep '^uilog: .*mistakes' | sed 's/^.*mistakes.rc:[0-9]*: //' | sort
  logtoprocess.comandfinish: no event of this name is known; did you mean 'commandfinish'?
  logtoprocess.command:sdtin: no event has a ':' in its name, and the only option of a script is ':stdin'
  uilog.max-script: there is no such setting; did you mean 'max-scripts'?
  uilog.sink.f:track: no event 'comand' is known; did you mean 'command'?
  uilog.sink.f:trak: there is no such option; did you mean 'track'?
  uilog.sink.g:track: there is no uilog.sink.g
  uilog.sink.nohost: 'otlp:https://' names no host
  uilog.sink.noscheme: 'nonsense:y' is not a kind of sink: file:, syslog:, unix:, otlp:

A sink that cannot be used is marked, also if only the binary can tell.

  $ HGRCPATH=$HGRCPATH:$TESTTMP/mistakes.rc hg debuguilog \
  >     | sed -n '/^sinks/,/^settings/p'
  sinks: logtoprocess, sink.f, sink.nofile, sink.nohost, sink.noscheme* (glob)
    uilog.sink.f = file:$TESTTMP/f.jsonl (*) (glob)
    uilog.sink.nofile = file:/dev/null/x (*) (glob)
      broken: /dev/null/x cannot be written: Not a directory (os error 20)
    uilog.sink.nohost = otlp:https:// (*) (glob)
      broken: 'otlp:https://' names no host
    uilog.sink.noscheme = nonsense:y (*) (glob)
      broken: 'nonsense:y' is not a kind of sink: file:, syslog:, unix:, otlp:
  settings:

A script that fails while the command runs is told at the command's end.

  $ cat > $TESTTMP/waits.py << 'END'
  > import time
  > from mercurial import registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'waits', [], norepo=True)
  > def waits(ui):
  >     def failed():
  >         return ui.getlogger(b'uilog').status()['dispatcher']['failed']
  >     deadline = time.monotonic() + 100
  >     while not failed() and time.monotonic() < deadline:
  >         time.sleep(0.01)
  > END
  $ hg waits --debug --config extensions.waits=$TESTTMP/waits.py \
  >     --config 'logtoprocess.command=exit 3' 2>&1 | grep '^uilog: so far'
  uilog: so far: scripts failed: 1, records lost: 0* (glob)

A home directory that does not answer
=====================================

hg ends although whoever opens the directory of the journal waits ten minutes.

  $ cat > $TESTTMP/end.py << 'END'
  > import os, signal, sys, time
  > sys.path.insert(0, os.environ['helpers'])
  > import processes
  > until = time.monotonic() + processes.DEADLINE
  > stopped = []
  > while not stopped and time.monotonic() < until:
  >     # Those that the tracer has stopped.
  >     everyone = processes.of_home(os.environ['HOME'])
  >     stopped = [p for p in everyone if p.state == 't']
  > for process in stopped:
  >     with open('/proc/%d/status' % process.pid) as fp:
  >         facts = dict(line.split(':', 1) for line in fp)
  >     os.kill(process.pid, signal.SIGKILL)
  >     # The tracer would keep it until its delay is over.
  >     os.kill(int(facts['TracerPid']), signal.SIGKILL)
  > print('waiting: %d' % len(stopped))
  > END
  $ mkdir -m 700 $TESTTMP/away
  $ XDG_STATE_HOME=$TESTTMP/away/state UILOG_DEPTH=5 \
  >     strace -D -f -o $TESTTMP/trace -e trace=openat -P $TESTTMP/away \
  >     -P $TESTTMP/away/state/uilog/failures.jsonl \
  >     -e inject=openat:delay_enter=600000000 \
  >     hg version -q --config logtoprocess.commandfinish=true \
  >     > $TESTTMP/out 2>&1
  $ cat $TESTTMP/out
  Mercurial Distributed SCM * (glob)
  $ "$PYTHON" $TESTTMP/end.py
  waiting: 1
  $ settled
