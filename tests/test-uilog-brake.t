The emergency brake: UILOG=off, and `enabled = no` in [uilog].

chg and command servers are in test_brake.py.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat > $TESTTMP/loaded.py << END
  > import sys
  > from mercurial import dispatch, registrar, ui as uimod
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'loaded', norepo=True)
  > def loaded(ui):
  >     for name in sorted(sys.modules):
  >         if name.startswith('hgext3rd.uilog'):
  >             ui.write(b'%s\n' % name.encode())
  >     for function in uimod.ui.log, uimod.ui.system, dispatch.dispatch:
  >         source = sys.modules[function.__module__].__file__
  >         code = getattr(function, '__code__', None)
  >         if getattr(code, 'co_filename', None) != source:
  >             ui.write(b'%s is not stock\n' % function.__name__.encode())
  > END
  $ cat >> $HGRCPATH << END
  > [extensions]
  > loaded = $TESTTMP/loaded.py
  > [uilog]
  > sink.file = file:$got/records
  > [logtoprocess]
  > commandfinish = echo "\$OPT_CANONICAL_COMMAND" >> $got/log
  > END
  $ logged() { settled; cat $got/log 2> /dev/null; wc -l < $got/records; \
  >     rm -f $got/*; } 2> /dev/null

Without the brake
=================

  $ hg init repo
  $ cd repo
  $ hg loaded | grep -e _native -e stock
  hgext3rd.uilog._native
  log is not stock
  system is not stock
  dispatch is not stock
  $ logged
  init
  loaded
  4 (re)

The variable
============

Nothing of uilog is loaded, the native module least of all, and nothing of
Mercurial is wrapped.

  $ UILOG=off hg loaded
  hgext3rd.uilog
  hgext3rd.uilog.brake
  $ UILOG=off hg debuguilog
  uilog is switched off: UILOG=off in the environment
  $ UILOG=off hg debuguilog -T json
  [
   {
    "switchedoff": "UILOG=off in the environment"
   }
  ]

What means `no` to hg will do, in any case; programs that hg runs inherit it.

  $ for value in 0 no False NEVER; do UILOG=$value hg debuguilog; done
  uilog is switched off: UILOG=0 in the environment
  uilog is switched off: UILOG=no in the environment
  uilog is switched off: UILOG=False in the environment
  uilog is switched off: UILOG=NEVER in the environment
  $ UILOG=off hg root --config 'hooks.pre-root=hg branch'
  default
  $TESTTMP/repo
  $ logged

Anything else leaves uilog on, and an invalid value is reported.

  $ for value in '' 1 on disabled; do
  >     UILOG=$value hg debuguilog | sed -n '/^UILOG/p; /^sinks/p'
  > done
  sinks: logtoprocess, sink.file
  sinks: logtoprocess, sink.file
  sinks: logtoprocess, sink.file
  UILOG=disabled is invalid, uilog is on
  sinks: logtoprocess, sink.file
  $ UILOG=disabled hg root --debug 2>&1 | grep UILOG
  uilog: UILOG=disabled is invalid, uilog is on
  $ logged > /dev/null

What is broken may be uilog itself.

  $ package=`"$PYTHON" -c 'import hgext3rd.uilog as it; print(it.__path__[0])'`
  $ mkdir $TESTTMP/broken
  $ cp $package/*.py $TESTTMP/broken
  $ echo broken > $TESTTMP/broken/_native.abi3.so
  $ hg root --config extensions.uilog=$TESTTMP/broken
  \*\*\* failed to import extension "uilog": *broken/_native.abi3.so* (glob)
  $TESTTMP/repo
  $ hg debuguilog --config extensions.uilog=$TESTTMP/broken 2> /dev/null
  uilog is switched off: it cannot be loaded: *broken/_native.abi3.so* (glob)
  [1]
  $ UILOG=off hg root --config extensions.uilog=$TESTTMP/broken
  $TESTTMP/repo

Where nothing is to be logged, only `hg debuguilog` notices.

  $ HGRCPATH= hg root --config extensions.uilog=$TESTTMP/broken
  $TESTTMP/repo
  $ HGRCPATH= hg debuguilog --config extensions.uilog=$TESTTMP/broken
  \*\*\* failed to import extension "uilog": *broken/_native.abi3.so* (glob)
  uilog is switched off: it cannot be loaded: *broken/_native.abi3.so* (glob)
  [1]

The item
========

  $ hg loaded --config uilog.enabled=no
  hgext3rd.uilog
  hgext3rd.uilog.brake
  $ cat > $TESTTMP/system.rc << END
  > [uilog]
  > enabled = no
  > END
  $ before=$HGRCPATH
  $ HGRCPATH=$TESTTMP/system.rc:$before
  $ hg debuguilog
  uilog is switched off: uilog.enabled = no ($TESTTMP/system.rc:2)
  $ hg root
  $TESTTMP/repo
  $ logged

As of every item, the last word counts, but none takes the variable back.

  $ hg root --config uilog.enabled=yes
  $TESTTMP/repo
  $ UILOG=on hg root
  $TESTTMP/repo
  $ logged
  root
  2
  $ UILOG=off hg root --config uilog.enabled=yes
  $TESTTMP/repo
  $ logged
  $ HGRCPATH=$before

A file that is moved to where the system's are, as docs/fleet.md says.

  $ mkdir $TESTTMP/hgrc.d
  $ printf '[uilog]\nenabled = yes\n' > $TESTTMP/hgrc.d/uilog.rc
  $ printf '[uilog]\nenabled = no\n' > $TESTTMP/hgrc.d/.uilog-off
  $ HGRCPATH=$TESTTMP/hgrc.d uilog config uilog.enabled
  yes
  $ mv $TESTTMP/hgrc.d/.uilog-off $TESTTMP/hgrc.d/zz-uilog-off.rc
  $ HGRCPATH=$TESTTMP/hgrc.d uilog config uilog.enabled
  no

What means nothing leaves uilog on.

  $ hg debuguilog --config uilog.enabled=nope | grep enabled
    uilog.enabled = nope (--config)
    uilog.enabled: 'nope' is not a boolean, using yes (--config)
  $ logged > /dev/null

A repository's own hgrc counts as far as hg trusts it.

  $ cat > .hg/hgrc << END
  > [uilog]
  > enabled = no
  > END
  $ hg root
  $TESTTMP/repo
  $ hg debuguilog
  uilog is switched off: uilog.enabled = no ($TESTTMP/repo/.hg/hgrc:2)
  $ logged

#if root
  $ chown 65534 .hg/hgrc
  $ hg root 2> $TESTTMP/warnings
  $TESTTMP/repo
  $ logged
  root
  2
#endif
  $ rm .hg/hgrc

hg's own extensions
===================

uilog no longer stands in for them: they do what they do without uilog.

  $ cat > $TESTTMP/own.rc << END
  > [extensions]
  > logtoprocess =
  > blackbox =
  > [blackbox]
  > track = command
  > END
  $ HGRCPATH=$before:$TESTTMP/own.rc
  $ UILOG=off hg root
  $TESTTMP/repo
  $ wait_lines 1 $got/log
  $ UILOG=off hg blackbox --failed 2>&1 | head -1
  hg blackbox: option --failed not recognized
  $ UILOG=off hg blackbox | sed 's/.*> //'
  root
  blackbox
  $ settled; grep root $got/log; ls $got
  root
  log
  $ rm -r $got/* .hg/blackbox.log
  $ HGRCPATH=$before

uilog run
=========

It becomes the command: no process more, nothing in the environment, the same
status.

  $ UILOG=off sh -c 'echo $$; exec uilog run -- sh -c "echo \$\$; exit 3"' \
  >     > $TESTTMP/pids
  [3]
  $ uniq $TESTTMP/pids | grep -c .
  1
  $ UILOG=off uilog run -- env | grep -e ^UILOG -e ^TRACEPARENT
  UILOG=off
  $ UILOG=off uilog run -- no-such-program
  uilog: cannot run 'no-such-program': No such file or directory
  [127]
  $ UILOG=off uilog run -- sh -c 'kill -KILL $$'
  *Killed* (glob) (?)
  [137]
  $ UILOG=off uilog run --config uilog.enabled=yes echo -n x
  x (no-eol)
  $ logged

The item is read while the command runs, as ever.

  $ uilog run --config uilog.enabled=no -- sh -c 'exit 3'
  [3]
  $ HGRCPATH=$TESTTMP/system.rc:$before uilog run -- hg root
  $TESTTMP/repo
  $ logged

uilog emit
==========

  $ UILOG=off uilog emit commandfinish x
  $ UILOG=off uilog emit -v commandfinish x
  uilog: nothing is logged: uilog is switched off: UILOG=off in the environment
  $ uilog emit -v commandfinish x --config uilog.enabled=no
  uilog: nothing is logged: uilog is switched off: uilog.enabled = no (--config)
  $ UILOG=off uilog emit --require-sink commandfinish x
  uilog: nothing is logged: uilog is switched off: UILOG=off in the environment
  [1]
  $ UILOG=off uilog emit -v commandfinish x --opt nonsense
  uilog: --opt nonsense: no '='
  [2]
  $ logged

What is queued already
======================

  $ cat > $TESTTMP/queue.rc << END
  > [uilog]
  > max-scripts = 1
  > [logtoprocess]
  > command = until [ -e $TESTTMP/go ]; do sleep 0.01; done; echo first >> $got/log
  > commandfinish = echo second >> $got/log
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/queue.rc hg root
  $TESTTMP/repo
  $ UILOG=off; export UILOG
  $ HGRCPATH=$HGRCPATH:$TESTTMP/queue.rc hg root
  $TESTTMP/repo
  $ touch $TESTTMP/go
  $ logged
  first
  second
  2

uilog status and uilog check
============================

  $ uilog status | sed -n '1p'
  Switched off: UILOG=off in the environment
  $ HGRCPATH=$TESTTMP/system.rc:$HGRCPATH uilog status -T json |
  >     sed -n '/switched_off/,/]/p'
    "switched_off": [
      "UILOG=off in the environment",
      "uilog.enabled = no ($TESTTMP/system.rc:2)"
    ],
  $ HGRCPATH=$TESTTMP/system.rc:$HGRCPATH:$TESTTMP/own.rc uilog check |
  >     sed -n '/^Switched/p; /^Findings/,$p'
  Switched off: UILOG=off in the environment
  Switched off: uilog.enabled = no ($TESTTMP/system.rc:2)
  Findings
    warning: uilog is switched off: UILOG=off in the environment
      nothing is logged until UILOG is unset
    warning: $TESTTMP/system.rc:2: uilog is switched off: uilog.enabled = no
      nothing is logged as long as that is set
    note: $TESTTMP/own.rc:2: hg's own extension logtoprocess is enabled, and runs the scripts itself while uilog is switched off
    note: $TESTTMP/own.rc:3: hg's own extension blackbox is enabled, and writes the blackbox itself while uilog is switched off
  0 errors, 2 warnings, 2 notes
  $ UILOG=disabled uilog check | sed -n '/^Findings/,$p'
  Findings
    warning: UILOG=disabled is invalid, uilog is on
      use UILOG=off, or unset it
  0 errors, 1 warning, 0 notes
  $ unset UILOG
  $ uilog check -T json | sed -n '/switched_off/p'
    "switched_off": [],
  $ uilog status -T json | sed -n '/switched_off/p'
    "switched_off": [],
