`uilog check` names whatever would keep events from where they should go, with
its place and what to do about it.

  $ . "$TESTDIR/helpers/setup.sh"
  $ HGRCPATH=$TESTTMP/user.hgrc
  $ user=$HGRCPATH
  $ cat > $user << 'END'
  > [extensions]
  > uilog =
  > END
  $ tidy() {
  >     sed -e "s#$user#USER#g" -e 's/[0-9a-f]\{32\}/SESSION/g' \
  >         -e 's/HGPID=[0-9]*/HGPID=N/' -e 's/"pid":[0-9]*/"pid":N/' \
  >         -e 's/after [0-9.]* s$/after T s/' \
  >         -e 's/20[0-9-]*T[0-9:.]*+00:00/TIME/' -e 's/ *$//' \
  >         -e "s#`command -v uilog`#UILOG#" -e "s#`command -v hg`#HG#"
  > }
  $ findings() {
  >     uilog check "$@" > $TESTTMP/checked
  >     status=$?
  >     sed '0,/^Findings/d' $TESTTMP/checked | tidy
  >     return $status
  > }
  $ with() {
  >     cat > $TESTTMP/more.hgrc
  >     HGRCPATH=$HGRCPATH:$TESTTMP/more.hgrc findings "$@"
  > }
  $ hg init repo
  $ cd repo

Nothing is wrong
================

  $ cat >> $HGRCPATH << END
  > blackbox =
  > [logtoprocess]
  > commandfinish = cat
  > commandfinish:stdin = json
  > [uilog]
  > max-scripts = 3
  > END
  $ uilog check | tidy
  Files
    read        user          USER
    missing     repository    $TESTTMP/repo/.hg/hgrc
    missing     not-shared    $TESTTMP/repo/.hg/hgrc-not-shared
  Mercurial
    HG  *  beside this uilog, first on PATH (glob)
      uilog: */hgext3rd/uilog/__init__.py (glob)
  Extensions
    on   uilog         *:* (glob)
    off  logtoprocess  not listed
    on   blackbox      *:* (glob)
  Scripts
    commandfinish = cat  *:* (glob)
      reads json
      program: */cat (glob)
  Sinks: none
  Settings
    uilog.enabled = yes  default
    uilog.max-scripts = 3  *:* (glob)
    uilog.script-timeout = 600  default
    uilog.queue-size = 64 MB  default
    uilog.peer-timeout = 5  default
    uilog.peer-close-max = 30  default
    uilog.agent = yes  default
    uilog.agent-idle = 10  default
    uilog.slow-command = 60  default
    uilog.agent-queues-size = 256 MB  default
    uilog.queue-dir =   default
    uilog.deliver-before-exit = auto  default
    uilog.spool =   default
    uilog.spool-max-size = 64 MB  default
    uilog.spool-max-age = 7 days  default
    uilog.history = no  default
    uilog.history-max-size = 256 MB  default
    uilog.history-max-age = 90 days  default
    uilog.redact-config =   default
    blackbox.track = *  default (glob)
    blackbox.ignore = chgserver, cmdserver, extension  default
    blackbox.maxsize = 1 MB  default
    blackbox.maxfiles = 7  default
    blackbox.dirty = no  default
    blackbox.logsource = no  default
    blackbox.date-format =   default
    blackbox.debug.to-stderr = no  default
  Findings
  0 errors, 0 warnings, 0 notes
  $ uilog doctor | tail -1
  0 errors, 0 warnings, 0 notes

A note alone changes no exit status.

  $ findings --cwd ..
    note: *:*: there is no repository here, so no blackbox was checked (glob)
      name one: uilog check -R REPO
  0 errors, 0 warnings, 1 note
  $ findings --cwd .. -R repo
  0 errors, 0 warnings, 0 notes

Scripts
=======

  $ mkdir $TESTTMP/bin
  $ echo 'not for me to run' > $TESTTMP/bin/plain
  $ printf '#!/no/such/interpreter\n' > $TESTTMP/bin/foreign
  $ chmod +x $TESTTMP/bin/foreign
  $ with << END
  > [logtoprocess]
  > command = $TESTTMP/bin/nothing "\$MSG1"
  > commandexception = no-such-program
  > commandalias = exec $TESTTMP/bin/plain
  > exthook = '$TESTTMP/bin'
  > pythonhook = $TESTTMP/bin/foreign
  > develwarn = if true; then echo
  > incoming = # later
  > profile = ~/bin/nothing 2>&1
  > END
    error: $TESTTMP/more.hgrc:2: the program $TESTTMP/bin/nothing does not exist: the script will fail
      install it, or correct the name; hg's PATH may also differ from yours
    error: $TESTTMP/more.hgrc:3: there is no program 'no-such-program' on PATH: the script will fail
      install it, or correct the name; hg's PATH may also differ from yours
    error: $TESTTMP/more.hgrc:4: the program $TESTTMP/bin/plain is not executable: the script will fail
      make it executable: chmod +x
    error: $TESTTMP/more.hgrc:5: the program $TESTTMP/bin is a directory: the script will fail
      name a program in it
    error: $TESTTMP/more.hgrc:6: $TESTTMP/bin/foreign is a script for /no/such/interpreter, which does not exist: it will not run
      correct its first line
    error: $TESTTMP/more.hgrc:7: the shell cannot parse the script: * (glob)
    error: $TESTTMP/more.hgrc:9: the program ~/bin/nothing does not exist: the script will fail
      install it, or correct the name; hg's PATH may also differ from yours
    warning: $TESTTMP/more.hgrc:8: the script does nothing: it is a comment
  7 errors, 1 warning, 0 notes
  [1]

What only the shell can tell is not guessed.

  $ cat > $TESTTMP/shell.hgrc << 'END'
  > [logtoprocess]
  > command = $RECORDER "$MSG1"
  > commandexception = no-such-program | no-such-filter
  > commandalias = no-such-program || true
  > exthook = A=1 no-such-program
  > pythonhook = relative/no-such-program
  > develwarn = echo "$MSG1" >> /no/such/file
  > incoming = { no-such-program; }
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/shell.hgrc uilog check | grep -A1 shell.hgrc
    read        user          $TESTTMP/shell.hgrc
    missing     repository    $TESTTMP/repo/.hg/hgrc
  --
    command = $RECORDER "$MSG1"  $TESTTMP/shell.hgrc:2
      program: not checked
    commandexception = no-such-program | no-such-filter  $TESTTMP/shell.hgrc:3
      program: not checked
    commandalias = no-such-program || true  $TESTTMP/shell.hgrc:4
      program: not checked
    exthook = A=1 no-such-program  $TESTTMP/shell.hgrc:5
      program: not checked
    pythonhook = relative/no-such-program  $TESTTMP/shell.hgrc:6
      program: not checked
    develwarn = echo "$MSG1" >> /no/such/file  $TESTTMP/shell.hgrc:7
      program: echo, the shell's own
    incoming = { no-such-program; }  $TESTTMP/shell.hgrc:8
      program: not checked
  --
    warning: $TESTTMP/shell.hgrc:6: the program relative/no-such-program is looked up in the directory in which hg is called: there is none in $TESTTMP/repo/
      write its absolute path, or a name that is on PATH

A program with a relative path is found where its author has put it.

  $ mkdir $TESTTMP/conf
  $ printf '#!/bin/sh\n' > $TESTTMP/conf/log.sh
  $ chmod +x $TESTTMP/conf/log.sh
  $ printf '[logtoprocess]\ncommand = ./log.sh\n' > $TESTTMP/conf/hgrc
  $ HGRCPATH=$HGRCPATH:$TESTTMP/conf/hgrc uilog check | grep -A1 'conf/hgrc:2: '
    warning: $TESTTMP/conf/hgrc:2: the program ./log.sh is looked up in the directory in which hg is called: there is none in $TESTTMP/repo/
      did you mean '$TESTTMP/conf/log.sh'?

Events and sub-options
======================

  $ with << 'END'
  > [logtoprocess]
  > comandfinish = cat
  > my-own-event = cat
  > uiblocked = cat
  > histedit = cat
  > commandfinish:stdim = json
  > exthook:stdin = json
  > pythonhook = cat
  > pythonhook:stdin = xml
  > peerclose = cat
  > END
    error: $TESTTMP/more.hgrc:6: there is no program 'json' on PATH: the script will fail
      install it, or correct the name; hg's PATH may also differ from yours
    warning: $TESTTMP/more.hgrc:7: logtoprocess.exthook:stdin: there is no script for it
      its only value is json, beside a script for its event
    warning: $TESTTMP/more.hgrc:9: logtoprocess.pythonhook:stdin: 'xml' is not 'json', using /dev/null
      its only value is json, beside a script for its event
    warning: $TESTTMP/more.hgrc:2: nothing in Mercurial emits the event 'comandfinish'
      did you mean 'commandfinish'?
    warning: $TESTTMP/more.hgrc:3: nothing in Mercurial emits the event 'my-own-event'
      ignore this if an extension of yours, or `uilog emit`, emits it
    warning: $TESTTMP/more.hgrc:4: the event 'uiblocked' needs ui.logblockedtimes, which is off
      switch it on: [ui] logblockedtimes = yes
    warning: $TESTTMP/more.hgrc:5: the event 'histedit' needs the extension histedit, which is not enabled
      enable it: [extensions] histedit =
    warning: $TESTTMP/more.hgrc:6: there is no sub-option 'stdim': this is a script for an event named 'commandfinish:stdim'
      did you mean 'commandfinish:stdin'?
  1 error, 7 warnings, 0 notes
  [1]
  $ with << 'END'
  > [ui]
  > logblockedtimes = yes
  > [extensions]
  > histedit =
  > [logtoprocess]
  > uiblocked = cat
  > histedit = cat
  > END
  0 errors, 0 warnings, 0 notes

Settings
========

  $ with << 'END'
  > [uilog]
  > max-scripts = lots
  > script-timeout = -1
  > queue-sise = 1 GB
  > colour = red
  > [blackbox]
  > maxsize = big
  > dirty = perhaps
  > maxfile = 3
  > [uilgo]
  > max-scripts = 1
  > [logtoproces]
  > command = cat
  > END
    warning: $TESTTMP/more.hgrc:13: nothing reads the section [logtoproces]
      did you mean 'logtoprocess'?
    warning: $TESTTMP/more.hgrc:11: nothing reads the section [uilgo]
      did you mean 'uilog'?
    warning: $TESTTMP/more.hgrc:2: uilog.max-scripts: 'lots' is not a number from 1 to 1024, using 8
      it must be a number from 1 to 1024: maximum number of scripts of one hg process that run at the same time
    warning: $TESTTMP/more.hgrc:3: uilog.script-timeout: '-1' is not a number of seconds, using 600
      it must be a number of seconds: seconds until a script is terminated; 0: never
    warning: $TESTTMP/more.hgrc:4: there is no item uilog.queue-sise
      did you mean 'queue-size'?
    warning: $TESTTMP/more.hgrc:5: there is no item uilog.colour
      uilog check lists the items
    warning: $TESTTMP/more.hgrc:7: blackbox.maxsize: 'big' is not a size, using 1 MB
      it must be a size: size at which the file is rotated before the next line; 0: never
    warning: $TESTTMP/more.hgrc:8: blackbox.dirty: 'perhaps' is not a boolean, using no
      it must be a boolean: mark lines with + if the working directory has changes
    warning: $TESTTMP/more.hgrc:9: there is no item blackbox.maxfile
      did you mean 'maxfiles'?
    note: USER:8: uilog.max-scripts = 3 is overridden
      the value in $TESTTMP/more.hgrc:2 is used
  0 errors, 9 warnings, 1 note
  [1]

A sink's name begins with `sink.`.

  $ with << 'END'
  > [uilog]
  > desk = syslog:
  > desk:track = command
  > fleet = OTPL:http://localhost:4318
  > note = nothing: to do with sinks
  > desk:colour = red
  > END
    warning: $TESTTMP/more.hgrc:2: there is no item uilog.desk
      did you mean 'sink.desk'?
    warning: $TESTTMP/more.hgrc:3: there is no item uilog.desk:track
      did you mean 'sink.desk:track'?
    warning: $TESTTMP/more.hgrc:4: there is no item uilog.fleet
      did you mean 'sink.fleet'?
    warning: $TESTTMP/more.hgrc:5: there is no item uilog.note
      uilog check lists the items
    warning: $TESTTMP/more.hgrc:6: there is no item uilog.desk:colour
      uilog check lists the items
  0 errors, 5 warnings, 0 notes
  [1]

A number without a unit may be meant as days, and is taken for nothing.

  $ with << 'END'
  > [uilog]
  > spool-max-age = 7
  > END
    warning: $TESTTMP/more.hgrc:2: uilog.spool-max-age: '7' is not a time with a unit, such as '7 days', using 7 days
      it must be a time with a unit, such as '7 days': maximum age of records that wait for a collector
  0 errors, 1 warning, 0 notes
  [1]
  $ with --config uilog.queue-size=1 << 'END'
  > END
    warning: --config: uilog.queue-size: '1' is not a size of 1 MB or more, using 64 MB
      it must be a size of 1 MB or more: maximum memory for events that wait for a script
  0 errors, 1 warning, 0 notes
  [1]

What overrides what, and what is taken back

  $ cat > .hg/hgrc << 'END'
  > [logtoprocess]
  > commandfinish = tee
  > exthook = cat
  > exthook = tee
  > %include more.rc
  > [uilog]
  > max-scripts = 4
  > END
  $ cat > .hg/more.rc << 'END'
  > [blackbox]
  > dirty = yes
  > %unset dirty
  > END
  $ findings
    warning: USER:5: logtoprocess.commandfinish = cat is overridden
      the value in $TESTTMP/repo/.hg/hgrc:2 is used
    warning: $TESTTMP/repo/.hg/hgrc:3: logtoprocess.exthook = cat is overridden
      the value in $TESTTMP/repo/.hg/hgrc:4 is used; remove one of them
    note: USER:8: uilog.max-scripts = 3 is overridden
      the value in $TESTTMP/repo/.hg/hgrc:7 is used
    note: $TESTTMP/repo/.hg/more.rc:2: blackbox.dirty = yes is removed by %unset
      %unset is in $TESTTMP/repo/.hg/more.rc:3
  0 errors, 2 warnings, 2 notes
  [1]
  $ findings --config logtoprocess.commandfinish=
    warning: USER:6: logtoprocess.commandfinish:stdin: there is no script for it
      its only value is json, beside a script for its event
    warning: $TESTTMP/repo/.hg/hgrc:3: logtoprocess.exthook = cat is overridden
      the value in $TESTTMP/repo/.hg/hgrc:4 is used; remove one of them
    note: USER:5: logtoprocess.commandfinish = cat is overridden
      the value in --config is used
    note: USER:8: uilog.max-scripts = 3 is overridden
      the value in $TESTTMP/repo/.hg/hgrc:7 is used
    note: $TESTTMP/repo/.hg/hgrc:2: logtoprocess.commandfinish = tee is overridden
      the value in --config is used
    note: $TESTTMP/repo/.hg/more.rc:2: blackbox.dirty = yes is removed by %unset
      %unset is in $TESTTMP/repo/.hg/more.rc:3
  0 errors, 2 warnings, 4 notes
  [1]
  $ rm .hg/hgrc .hg/more.rc

Files
=====

  $ mkdir .hg/hgrc
  $ HGRCPATH=$HGRCPATH:$TESTTMP/no-such-file.rc uilog check | tidy |
  >     sed '/^Merc/,/^Find/d'
  Files
    read        user          USER
    missing     user          $TESTTMP/no-such-file.rc
    unreadable  repository    $TESTTMP/repo/.hg/hgrc  (Is a directory (os error 21))
    missing     not-shared    $TESTTMP/repo/.hg/hgrc-not-shared
    warning: $TESTTMP/repo/.hg/hgrc: hg ignores this file: Is a directory (os error 21)
      make it readable, or remove it
  0 errors, 1 warning, 0 notes
  $ rmdir .hg/hgrc

hg would not run at all

  $ echo broken > $TESTTMP/broken.rc
  $ HGRCPATH=$HGRCPATH:$TESTTMP/broken.rc uilog check
  config error at $TESTTMP/broken.rc:1: broken
  [255]
  $ HGRCPATH=$HGRCPATH:$TESTTMP/broken.rc hg root
  config error at $TESTTMP/broken.rc:1: broken
  [255]
  $ uilog check -R no-such-repository
  abort: repository no-such-repository not found
  [255]

Extensions
==========

  $ findings --config extensions.uilog=!
    warning: USER:5: there are scripts, but no extension is enabled that would run them
      enable it: [extensions] uilog =
    note: USER:2: extensions.uilog =  is overridden
      the value in --config is used
  0 errors, 1 warning, 1 note
  [1]
  $ findings --config extensions.logtoprocess=
    note: --config: uilog is enabled as well, in USER:2, and replaces logtoprocess
      this line is not needed
  0 errors, 0 warnings, 1 note
  $ findings --config extensions.uilog=/no/such/uilog
    error: --config: hg cannot load uilog: /no/such/uilog does not exist
      correct the path, or leave it out: uilog =
    note: USER:2: extensions.uilog =  is overridden
      the value in --config is used
  1 error, 0 warnings, 1 note
  [1]

An extension is looked for as hg does it, whichever of ours it is.

  $ package=`sed -n 's/^ *uilog: //p' $TESTTMP/checked`
  $ extensions() {
  >     HGRCPATH=$HGRCPATH:$TESTTMP/more.hgrc uilog check |
  >         sed -n '/^Extensions/,/^Scripts/p' | tidy | grep more
  > }
  $ for uilog in "uilog = ${package%/*}" "uilog = $package" 'hgext3rd.uilog ='
  > do
  >     printf '[extensions]\nuilog = !\n%s\n' "$uilog" > $TESTTMP/more.hgrc
  >     HGRCPATH=$HGRCPATH:$TESTTMP/more.hgrc hg --cwd / debuguilog > /dev/null || echo bad
  >     extensions
  > done
    on   uilog         $TESTTMP/more.hgrc:3
    on   uilog         $TESTTMP/more.hgrc:3
    on   uilog         $TESTTMP/more.hgrc:3
  $ mkdir $TESTTMP/empty
  $ with << END
  > [extensions]
  > uilog = !
  > hgext/uilog =
  > hgext3rd/uilog =
  > blackbox = /nonexistent/blackbox.py
  > logtoprocess = $TESTTMP/empty
  > END
    error: $TESTTMP/more.hgrc:3: hg cannot load hgext/uilog: that is not the name of a Python module
      write: uilog =
    error: $TESTTMP/more.hgrc:4: hg cannot load hgext3rd/uilog: that is not the name of a Python module
      write: uilog =
    error: $TESTTMP/more.hgrc:6: hg cannot load logtoprocess: there is no __init__.py in $TESTTMP/empty
      correct the path, or leave it out: logtoprocess =
    error: $TESTTMP/more.hgrc:5: hg cannot load blackbox: /nonexistent/blackbox.py does not exist
      correct the path, or leave it out: blackbox =
    note: USER:2: extensions.uilog =  is overridden
      the value in $TESTTMP/more.hgrc:2 is used
    note: USER:3: extensions.blackbox =  is overridden
      the value in $TESTTMP/more.hgrc:5 is used
    note: $TESTTMP/more.hgrc:6: uilog is enabled as well, in $TESTTMP/more.hgrc:3, and replaces logtoprocess
      this line is not needed
  4 errors, 0 warnings, 3 notes
  [1]
  $ sed -n '/^Extensions/,/^Scripts/p' $TESTTMP/checked | tidy
  Extensions
    off  uilog         $TESTTMP/more.hgrc:3  cannot be loaded: see below
    off  logtoprocess  $TESTTMP/more.hgrc:6  cannot be loaded: see below
    off  blackbox      $TESTTMP/more.hgrc:5  cannot be loaded: see below
  Scripts
  $ HGRCPATH=$HGRCPATH:$TESTTMP/more.hgrc hg root 2>&1 | sed 's/:.*//'
  \*\*\* failed to import extension "?hgext/uilog"? (re)
  \*\*\* failed to import extension "?hgext3rd/uilog"? (re)
  \*\*\* failed to import extension "?blackbox"? from /nonexistent/blackbox.py (re)
  \*\*\* failed to import extension "?logtoprocess"? from \$TESTTMP/empty (re)
  $TESTTMP/repo

Of several lines for one name hg tries the first, and no other if that fails.

  $ printf '[extensions]\nuilog = !\n%s\n' 'hgext.uilog =' \
  >     "hgext/uilog = $package" > $TESTTMP/more.hgrc
  $ extensions
    off  uilog         $TESTTMP/more.hgrc:3  cannot be loaded: see below
  $ HGRCPATH=$HGRCPATH:$TESTTMP/more.hgrc hg debuguilog 2>&1 |
  >     sed -n '1s/:.*//;1,2p'
  \*\*\* failed to import extension "?hgext.uilog"? (re)
  hg: unknown command 'debuguilog'

Nothing is enabled, or nothing is there to do.

  $ HGRCPATH= findings
    warning: no hgrc enables uilog: nothing is logged
      enable it: [extensions] uilog =
  0 errors, 1 warning, 0 notes
  [1]
  $ printf '[extensions]\nuilog =\n' > $TESTTMP/alone.hgrc
  $ HGRCPATH=$TESTTMP/alone.hgrc findings
    note: $TESTTMP/alone.hgrc:2: uilog is enabled, but there is neither a script nor a sink nor a blackbox: nothing is logged
      see `hg help uilog`
  0 errors, 0 warnings, 1 note

The hg on PATH may be another one than the one beside this uilog.

  $ other=$TESTTMP/other/lib/python3.99/site-packages
  $ mkdir -p $TESTTMP/other/bin $other/mercurial $other/hgext
  $ printf 'version = b"6.9"\n' > $other/mercurial/__version__.py
  $ printf '#!/bin/sh\n' > $TESTTMP/other/bin/hg
  $ chmod +x $TESTTMP/other/bin/hg
  $ touch $other/hgext/blackbox.py
  $ beside=`command -v uilog`
  $ PYTHONPATH= PATH=$TESTTMP/other/bin:$PATH findings | sed "s#${beside%/*}#BIN#g"
    error: USER:2: HG (first on PATH) cannot load uilog: there is no hgext3rd/uilog in $TESTTMP/other/lib/python3.99/site-packages
      install uilog with the Python that runs hg
    note: there are two hg; beside this uilog: BIN/hg, version *, has uilog; first on PATH: HG, version 6.9, does not have uilog (glob)
      the one on PATH is what `hg` runs; `$HG` names another one
  1 error, 0 warnings, 1 note
  $ sed -n '/^Mercurial/,/^Ext/p' $TESTTMP/checked | sed "s#${beside%/*}#BIN#g"
  Mercurial
    BIN/hg  *  beside this uilog (glob)
      uilog: * (glob)
    $TESTTMP/other/bin/hg  6.9  first on PATH
      uilog: not found
  Extensions
  $ fake=$TESTTMP/fake/lib/python3.99/site-packages
  $ mkdir -p $TESTTMP/fake/bin $fake/mercurial
  $ printf '#!/bin/sh\n' > $TESTTMP/fake/bin/hg
  $ chmod +x $TESTTMP/fake/bin/hg
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings
    error: USER:2: hg cannot load uilog: there is no hgext3rd/uilog in $TESTTMP/fake/lib/python3.99/site-packages
      install uilog with the Python that runs hg
  1 error, 0 warnings, 0 notes
  [1]
  $ mkdir -p $fake/hgext3rd/uilog
  $ touch $fake/hgext3rd/uilog/__init__.py
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings
    error: USER:2: hg cannot load uilog: its native module is missing in $TESTTMP/fake/lib/python3.99/site-packages/hgext3rd/uilog
      install uilog again
  1 error, 0 warnings, 0 notes
  [1]

The dispatcher, which is started to see whether that works

  $ touch $fake/hgext3rd/uilog/_native.abi3.so
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings
    error: $TESTTMP/fake/lib/python3.99/site-packages/hgext3rd/uilog/bin/uilog: the dispatcher is missing: no script will run
      install uilog again
  1 error, 0 warnings, 0 notes
  [1]
  $ printf '#!/bin/sh\nexit 1\n' > $TESTTMP/fake/bin/uilog
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings
    error: $TESTTMP/fake/bin/uilog: the dispatcher does not start, so no script will run: cannot run $TESTTMP/fake/bin/uilog: EACCES: Permission denied
      install uilog again, or check what prevents its start: permissions, a limit, a sandbox
  1 error, 0 warnings, 0 notes
  [1]
  $ chmod +x $TESTTMP/fake/bin/uilog
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings
    error: $TESTTMP/fake/bin/uilog: the dispatcher does not start, so no script will run: it ends before it has done anything
      install uilog again, or check what prevents its start: permissions, a limit, a sandbox
  1 error, 0 warnings, 0 notes
  [1]
  $ cp "`command -v uilog`" $TESTTMP/fake/bin/uilog
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings
    note: $TESTTMP/fake/bin/uilog: hg uses another installation of uilog than this one, UILOG
    note: $TESTTMP/fake/bin/uilog-dispatcher: uilog-dispatcher is missing; uilog itself runs scripts, and starts more slowly
      install uilog again
  0 errors, 0 warnings, 2 notes
  $ printf '#!/bin/sh\nexit 1\n' > $TESTTMP/fake/bin/uilog-dispatcher
  $ chmod +x $TESTTMP/fake/bin/uilog-dispatcher
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings | grep slowly
    note: $TESTTMP/fake/bin/uilog-dispatcher: uilog-dispatcher does not start: it ends before it has done anything; uilog itself runs scripts, and starts more slowly
  $ cp "`command -v uilog-dispatcher`" $TESTTMP/fake/bin/uilog-dispatcher
  $ PYTHONPATH= HG=$TESTTMP/fake/bin/hg findings | grep slowly
  [1]
  $ settled

rhg, which does not know what it is to do

  $ printf '#!/bin/sh\n' > $TESTTMP/bin/rhg
  $ chmod +x $TESTTMP/bin/rhg
  $ PATH=$PATH:$TESTTMP/bin findings --config extensions.mine=x.py \
  >     --config rhg.ignored-extensions=other
    note: $TESTTMP/bin/rhg: rhg passes each command on to hg, because it does not know these extensions: mine, uilog
      to let it run without them, and log with `uilog run -- rhg`: [rhg] ignored-extensions = other, mine, uilog
  0 errors, 0 warnings, 1 note
  $ PATH=$PATH:$TESTTMP/bin findings --config rhg.ignored-extensions=uilog
  0 errors, 0 warnings, 0 notes
  $ PATH=$PATH:$TESTTMP/bin findings --config 'rhg.ignored-extensions=*'
  0 errors, 0 warnings, 0 notes

Where things are kept
=====================

  $ log=.hg/blackbox.log
  $ mkdir $log
  $ findings
    error: $TESTTMP/repo/.hg/blackbox.log: the blackbox is a directory
      remove it: hg creates a file instead
  1 error, 0 warnings, 0 notes
  [1]
  $ rmdir $log
  $ mkfifo $log
  $ findings
    error: $TESTTMP/repo/.hg/blackbox.log: the blackbox is a FIFO
      remove it: hg creates a file instead
  1 error, 0 warnings, 0 notes
  [1]
  $ rm $log
  $ ln -s /dev/full $log
  $ findings
    error: $TESTTMP/repo/.hg/blackbox.log: the blackbox is a device
      remove it: hg creates a file instead
  1 error, 0 warnings, 0 notes
  [1]
  $ rm $log
  $ touch .hg/.blackbox.log.kept
  $ findings
    warning: $TESTTMP/repo/.hg/.blackbox.log.kept: this directory is not used for old files: not a directory of ours
      remove it: its user's uilog creates it again; until then a stock hg that rotates at the same time may destroy old files
  0 errors, 1 warning, 0 notes
  [1]
  $ findings --config blackbox.maxsize=0
  0 errors, 0 warnings, 0 notes
  $ rm .hg/.blackbox.log.kept
  $ mkdir $log.1
  $ findings
    error: $TESTTMP/repo/.hg/blackbox.log: the blackbox cannot be rotated: blackbox.log.1 is in the way: it is not a regular file
      correct that: until then the log grows without limit
  1 error, 0 warnings, 0 notes
  [1]
  $ rmdir $log.1

The journal

  $ mkdir -p ~/.local/state/uilog
  $ mkdir ~/.local/state/uilog/failures.jsonl
  $ findings
    warning: $TESTTMP/.local/state/uilog/failures.jsonl: failures are recorded in */failures-*.jsonl instead: $TESTTMP/.local/state/uilog/failures.jsonl: it is not a regular file (glob)
      set HOME or XDG_STATE_HOME to a directory that only you can write to
  0 errors, 1 warning, 0 notes
  [1]
  $ rmdir ~/.local/state/uilog/failures.jsonl
  $ touch ~/.local/state/uilog/failures.jsonl
  $ chmod 777 ~/.local/state/uilog
  $ findings
    warning: $TESTTMP/.local/state/uilog/failures.jsonl: failures are recorded in */failures-*.jsonl instead: $TESTTMP/.local/state/uilog: other users may write there (glob)
      set HOME or XDG_STATE_HOME to a directory that only you can write to
  0 errors, 1 warning, 0 notes
  [1]
  $ chmod 700 ~/.local/state/uilog
  $ chmod 666 ~/.local/state/uilog/failures.jsonl
  $ findings
    warning: $TESTTMP/.local/state/uilog/failures.jsonl: other users may read or write the journal of failures
      chmod go-rwx
  0 errors, 1 warning, 0 notes
  [1]
  $ rm -r ~/.local/state/uilog

What has failed of late is found there.

  $ cat > $TESTTMP/failing.hgrc << END
  > [logtoprocess]
  > commandfinish = exit 3
  > exthook = sleep 600
  > [uilog]
  > script-timeout = 0.1
  > sink.a = file:$TESTTMP/empty/no/log
  > sink.a:track = commandfinish
  > END
  $ touch $TESTTMP/empty/no
  $ for root in 1 2; do
  >     HGRCPATH=$HGRCPATH:$TESTTMP/failing.hgrc hg root \
  >         --config hooks.pre-root=true --config 'extensions.blackbox=!' \
  >         > /dev/null
  >     settled
  > done
  $ rm $TESTTMP/empty/no
  $ more_of() {
  >     HGRCPATH=$HGRCPATH:$TESTTMP/$1.hgrc findings |
  >         sed '/is overridden/,/is used/d'
  > }
  $ more_of failing
    warning: $TESTTMP/failing.hgrc:2: the script of 'commandfinish' has failed 2 times in the last 24 hours, the last time at TIME: exit status 3
      try it: uilog check --run commandfinish
    warning: $TESTTMP/failing.hgrc:3: the script of 'exthook' has failed 2 times in the last 24 hours, the last time at TIME: it timed out (uilog.script-timeout)
      try it: uilog check --run exthook
    warning: $TESTTMP/failing.hgrc:6: uilog.sink.a: $TESTTMP/empty/no/log: Not a directory (os error 20): 2 lost, 2 times in the last 24 hours, the last time at TIME
      see `uilog status`
  0 errors, 4 warnings, 0 notes

Where a script is another one's, it is good to know; what is older than a day is
told in one line.

  $ cat > $TESTTMP/age.py << 'END'
  > import json, sys
  > path, = sys.argv[1:]
  > failures = [json.loads(line) for line in open(path)]
  > with open(path, 'w') as file:
  >     for failure in failures:
  >         if failure['event'] != 'exthook':
  >             failure['time'] = '2026-01-01T00:00:00.000000+00:00'
  >         print(json.dumps(failure), file=file)
  > END
  $ "$PYTHON" $TESTTMP/age.py ~/.local/state/uilog/failures.jsonl
  $ findings
    note: the script of 'exthook' has failed 2 times in the last 24 hours, the last time at TIME: it timed out (uilog.script-timeout)
      no script of this event is configured here: it belongs to another repository, or was removed
    note: the journal has 4 older failures, from TIME to 2026-01-01T00:00:00.000000+00:00
      see `uilog status`
  0 errors, 0 warnings, 2 notes
  $ rm -r ~/.local/state/uilog
  $ HOME= findings
    warning: */failures-*.jsonl: failures are recorded in */failures-*.jsonl instead: neither HOME nor XDG_STATE_HOME names a directory (glob)
      set HOME or XDG_STATE_HOME to a directory that only you can write to
  0 errors, 1 warning, 0 notes
  [1]
  $ HOME=/no/such/home findings
    warning: /no/such/home/.local/state/uilog/failures.jsonl: failures are recorded in */failures-*.jsonl instead: /no/such/home: No such file or directory (os error 2) (glob)
      set HOME or XDG_STATE_HOME to a directory that only you can write to
  0 errors, 1 warning, 0 notes
  [1]

Structured sinks
================

  $ sinks() {
  >     sed -n '/^Sinks/,/^Settings/p' $TESTTMP/checked | tidy
  > }
  $ with << END
  > [uilog]
  > sink.audit = file:$TESTTMP/log/%Y.jsonl
  > sink.fleet = otlp:https://collector.example:4318
  > sink.fleet:track = commandfinish, exthook
  > END
  0 errors, 0 warnings, 0 notes
  $ sinks
  Sinks
    sink.audit = file:$TESTTMP/log/%Y.jsonl  $TESTTMP/more.hgrc:2
      tracks * without chgserver, cmdserver, extension, session
    sink.fleet = otlp:https://collector.example:4318  $TESTTMP/more.hgrc:3
      tracks commandfinish, exthook
  Settings
  $ ls $TESTTMP/log $TESTTMP/.local/state/uilog/spool
  ls: cannot access '$TESTTMP/log': No such file or directory
  ls: cannot access '$TESTTMP/.local/state/uilog/spool': No such file or directory
  [2]

URLs, names, options; no password is shown.

  $ with << END
  > [uilog]
  > sink.a = otlps:https://me:geheim@collector.example
  > sink.b = otlp:https://me:geheim@collector.example
  > sink.c = syslog://collector.example
  > sink.d/e = file:/x
  > sink.f = file:$TESTTMP/%Q
  > sink.g = file:$TESTTMP/g
  > sink.g:trak = command
  > sink.g:sample = often
  > sink.g:facility = user
  > sink.h:track = command
  > END
    error: $TESTTMP/more.hgrc:2: uilog.sink.a: 'otlps:https://...@collector.example' is not a kind of sink: file:, syslog:, unix:, otlp:; did you mean 'otlp:https://...@collector.example'?
      until then every event for it is lost, and counted
    error: $TESTTMP/more.hgrc:3: uilog.sink.b: 'otlp:https://...@collector.example': a password does not belong there: use 'headers' or 'token-file'
      until this is corrected, events wait in the spool
    error: $TESTTMP/more.hgrc:4: uilog.sink.c: 'syslog://collector.example': it is on another host, or lacks a '/'; on the network: syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT
      until then every event for it is lost, and counted
    error: $TESTTMP/more.hgrc:6: uilog.sink.f: 'file:$TESTTMP/%Q': '%Q' is not a date directive ('%%' is a percent sign): %Y %C %y %G %g %m %b %B %d %j %a %A %u %w %U %W %V %H %I %M %S %p %P %s %F %z
      until then every event for it is lost, and counted
    warning: $TESTTMP/more.hgrc:5: uilog.sink.d/e: a sink's name has letters, digits, '-' and '_' only
      such as sink.fleet
    warning: $TESTTMP/more.hgrc:8: uilog.sink.g:trak: there is no such option
      did you mean 'track'?
    warning: $TESTTMP/more.hgrc:9: uilog.sink.g:sample: 'often' is not a number from 0 to 1, using 1
      it must be a number from 0 to 1: fraction of traces to keep
    warning: $TESTTMP/more.hgrc:11: uilog.sink.h:track: there is no sink named 'h'
      set its URL: sink.h = URL
    warning: $TESTTMP/more.hgrc:10: uilog.sink.g:facility: a sink 'file:' has no such option
      it is for syslog
  4 errors, 5 warnings, 0 notes
  [1]
  $ grep -c geheim $TESTTMP/checked
  0
  [1]
  $ sinks | head -4
  Sinks
    sink.a = otlps:https://...@collector.example  $TESTTMP/more.hgrc:2
      tracks * without chgserver, cmdserver, extension, session
      cannot be used: see below

What keeps everything from being sent, and what was probably not meant

  $ long=$TESTTMP/`"$PYTHON" -c 'print("s" * 200)'`
  $ with << END
  > [uilog]
  > sink.a = otlp:http://127.0.0.1:70000
  > sink.b = otlp:http://collector.example:4318/v1/traces
  > sink.c = otlp:http://collector.example:4317
  > sink.d = otlp:https://collector.example/?token=geheim
  > sink.e = unix:$long
  > END
    error: $TESTTMP/more.hgrc:2: uilog.sink.a: 'otlp:http://$LOCALIP:70000': its port 70000 is not from 1 to 65535
      until this is corrected, events wait in the spool
    error: $TESTTMP/more.hgrc:5: uilog.sink.d: 'otlp:https://collector.example/?...': a collector's URL has no '?'
      until this is corrected, events wait in the spool
    error: $TESTTMP/more.hgrc:6: uilog.sink.e: $TESTTMP/s*: the path of a socket has at most 107 bytes, this one has *: choose a shorter one (glob)
      until then every event for it is lost, and counted
    warning: $TESTTMP/more.hgrc:3: uilog.sink.b: 'otlp:http://collector.example:4318/v1/traces': '/v1/traces' is removed, since uilog appends the path of each signal itself: write http://collector.example:4318
    warning: $TESTTMP/more.hgrc:4: uilog.sink.c: 'otlp:http://collector.example:4317': port 4317 is usually gRPC's, and uilog speaks OTLP over HTTP: did you mean port 4318?
  3 errors, 2 warnings, 0 notes
  [1]
  $ grep -c geheim $TESTTMP/checked
  0
  [1]

Variables of other programs concern a sink without a URL alone.

  $ OTEL_EXPORTER_OTLP_TIMEOUT=30000ms OTEL_EXPORTER_OTLP_HEADERS=geheim
  $ OTEL_SDK_DISABLED=true
  $ export OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_HEADERS
  $ export OTEL_SDK_DISABLED
  $ with << END
  > [uilog]
  > sink.a = otlp:https://collector.example
  > sink.b = otlp:
  > END
    warning: $TESTTMP/more.hgrc:3: uilog.sink.b: OTEL_EXPORTER_OTLP_HEADERS is ignored: it must be KEY=VALUE,KEY=VALUE
    warning: $TESTTMP/more.hgrc:3: uilog.sink.b: OTEL_EXPORTER_OTLP_TIMEOUT is ignored: '30000ms' is not a number of milliseconds
    note: $TESTTMP/more.hgrc:3: uilog.sink.b: OTEL_SDK_DISABLED has no effect on uilog: the hgrc decides what is logged
      to switch the sink off, leave its URL empty
  0 errors, 2 warnings, 1 note
  [1]
  $ HGRCPATH=$TESTTMP/more.hgrc uilog status > $TESTTMP/out
  [1]
  $ sed -n '/^Spools/,/^Journal/p' $TESTTMP/out | grep -v Journal
  Spools
    a: 0 records waiting
    b: 0 records waiting
      warning: OTEL_EXPORTER_OTLP_HEADERS is ignored: it must be KEY=VALUE,KEY=VALUE
      warning: OTEL_EXPORTER_OTLP_TIMEOUT is ignored: '30000ms' is not a number of milliseconds
  $ unset OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_HEADERS
  $ unset OTEL_SDK_DISABLED

What a sink wants

  $ with << END
  > [uilog]
  > sink.a = file:$TESTTMP/a
  > sink.a:track = comand, uiblocked
  > sink.b = file:$TESTTMP/b
  > sink.b:track =
  > sink.c = file:$TESTTMP/c
  > sink.c:sample = 0
  > sink.d = file:$TESTTMP/d
  > sink.d:sample = 0
  > sink.d:sample-failures = always
  > END
    warning: $TESTTMP/more.hgrc:3: nothing in Mercurial emits the event 'comand'
      did you mean 'command'?
    warning: $TESTTMP/more.hgrc:3: the event 'uiblocked' needs ui.logblockedtimes, which is off
      switch it on: [ui] logblockedtimes = yes
    warning: $TESTTMP/more.hgrc:5: uilog.sink.b:track: the sink tracks no event
      '*' means all of them
    warning: $TESTTMP/more.hgrc:7: uilog.sink.c:sample: nothing is logged
      to switch the sink off, leave its URL empty
    note: $TESTTMP/more.hgrc:9: uilog.sink.d:sample: only failures are logged
  0 errors, 4 warnings, 1 note
  [1]

Commands are added up by an agent

  $ with << END
  > [uilog]
  > agent = no
  > sink.a = file:$TESTTMP/a
  > sink.a:rollup = status
  > sink.b = file:$TESTTMP/b
  > sink.b:rollup = *
  > sink.b:track = exthook
  > END
    warning: $TESTTMP/more.hgrc:4: uilog.sink.a:rollup: without an agent there are no rollups, and each command has its record
      set uilog.agent = yes
    warning: $TESTTMP/more.hgrc:6: uilog.sink.b:rollup: the sink does not track 'commandfinish', which rollups count
      add it to sink.b:track
    warning: $TESTTMP/more.hgrc:6: uilog.sink.b:rollup: without an agent there are no rollups, and each command has its record
      set uilog.agent = yes
    note: $TESTTMP/more.hgrc:4: uilog.sink.a:rollup: the beginning of each command is logged nevertheless, since the sink tracks 'command'
      track only commandfinish and commandexception
  0 errors, 3 warnings, 1 note
  [1]

  $ with << END
  > [uilog]
  > sink.a = file:$TESTTMP/a
  > sink.a:rollup = status
  > sink.a:track = commandfinish
  > END
  0 errors, 0 warnings, 0 notes

Keys and tokens

  $ echo geheimgeheimgeheim > $TESTTMP/key
  $ chmod 644 $TESTTMP/key
  $ with << END
  > [uilog]
  > sink.a = file:$TESTTMP/a
  > sink.a:user = hash
  > sink.b = file:$TESTTMP/b
  > sink.b:user = hash
  > sink.b:user-key-file = $TESTTMP/key
  > sink.c = otlp:http://collector.example:4318
  > sink.c:token-file = $TESTTMP/none
  > sink.d = otlp:http://localhost:4318
  > sink.d:token-file = $TESTTMP/key
  > sink.e = otlp:https://localhost:4318
  > sink.e:ca-file = $TESTTMP/key
  > sink.f = syslog+tls://localhost
  > sink.f:ca-file = $TESTTMP/key
  > END
    error: $TESTTMP/more.hgrc:2: uilog.sink.a:user: 'hash' needs a key: uilog.sink.a:user-key-file is not set
      until then every event for it is lost, and counted
    error: $TESTTMP/more.hgrc:8: uilog.sink.c:token-file: $TESTTMP/none: No such file or directory (os error 2)
      name a file that you can read
    error: $TESTTMP/more.hgrc:11: uilog.sink.e: https://localhost:4318/v1/traces: ca-file $TESTTMP/key: it is not PEM: there is no line 'BEGIN CERTIFICATE'
      until then nothing can be sent there
    error: $TESTTMP/more.hgrc:13: uilog.sink.f: syslog+tls://localhost: ca-file $TESTTMP/key: it is not PEM: there is no line 'BEGIN CERTIFICATE'
      until then nothing can be sent there
    warning: $TESTTMP/more.hgrc:6: uilog.sink.b:user-key-file: others can read $TESTTMP/key
      chmod go-rwx $TESTTMP/key
    warning: $TESTTMP/more.hgrc:7: uilog.sink.c: a token is sent to collector.example unencrypted
      use https://
    warning: $TESTTMP/more.hgrc:10: uilog.sink.d:token-file: others can read $TESTTMP/key
      chmod go-rwx $TESTTMP/key
  4 errors, 3 warnings, 0 notes
  [1]

Files, sockets, spools

  $ touch $TESTTMP/file
  $ mkdir $TESTTMP/spools
  $ chmod 777 $TESTTMP/spools
  $ mkfifo $TESTTMP/e.1
  $ with << END
  > [uilog]
  > spool = $TESTTMP/spools
  > sink.a = file:$TESTTMP/file/a
  > sink.b = unix:$TESTTMP/none
  > sink.c = unix:$TESTTMP/file
  > sink.d = otlp:
  > sink.e = file:$TESTTMP/e
  > sink.e:maxsize = 1 MB
  > sink.e:maxfiles = 0
  > sink.f = file:$TESTTMP/e
  > sink.f:maxsize = 1 MB
  > END
    error: $TESTTMP/more.hgrc:3: uilog.sink.a: $TESTTMP/file/a cannot be written: Not a directory (os error 20)
      every event for it is lost, and counted
    error: $TESTTMP/more.hgrc:6: uilog.sink.d: records cannot be spooled: cannot use $TESTTMP/spools: other users can write there
      make it a directory that only you can write to, or name another one: [uilog] spool = DIR
    warning: $TESTTMP/more.hgrc:4: uilog.sink.b: $TESTTMP/none cannot be reached: No such file or directory (os error 2)
      start the program that should listen there
    warning: $TESTTMP/more.hgrc:5: uilog.sink.c: $TESTTMP/file cannot be reached: it is not a socket
      start the program that should listen there
    warning: $TESTTMP/more.hgrc:10: uilog.sink.f: $TESTTMP/e cannot be rotated: e.1 is in the way: it is not a regular file
      correct that: until then the file grows without limit
  2 errors, 3 warnings, 0 notes
  [1]

Without the extension nobody tells them.

  $ with << END
  > [extensions]
  > uilog = !
  > [logtoprocess]
  > commandfinish =
  > [uilog]
  > sink.a = file:$TESTTMP/a
  > END
    warning: USER:6: logtoprocess.commandfinish:stdin: there is no script for it
      its only value is json, beside a script for its event
    warning: $TESTTMP/more.hgrc:6: there are sinks, but the extension that sends events to them is not enabled
      enable it: [extensions] uilog =
    note: USER:2: extensions.uilog =  is overridden
      the value in $TESTTMP/more.hgrc:2 is used
    note: USER:5: logtoprocess.commandfinish = cat is overridden
      the value in $TESTTMP/more.hgrc:4 is used
  0 errors, 2 warnings, 2 notes
  [1]

A sample of an event goes to each sink that wants it.

  $ with --run command << END
  > [uilog]
  > sink.a = file:$TESTTMP/a
  > sink.a:sample = 0.001
  > sink.b = file:$TESTTMP/file/b
  > sink.c = file:$TESTTMP/c
  > sink.c:track = commandfinish
  > END
    error: $TESTTMP/more.hgrc:4: uilog.sink.b: $TESTTMP/file/b cannot be written: Not a directory (os error 20)
      every event for it is lost, and counted
    error: $TESTTMP/more.hgrc:4: the sample of 'command' for sink.b: lost: $TESTTMP/file/b: Not a directory (os error 20)
  2 errors, 0 warnings, 0 notes
  [1]
  $ "$PYTHON" "$helpers/records.py" $TESTTMP/a event options.uilog_check
  command true
  $ ls $TESTTMP/c
  ls: cannot access '$TESTTMP/c': No such file or directory
  [2]

Each sink can be tried without an event. Nothing is made or sent, and nobody's
name or password is shown.

  $ with --connect << END
  > [uilog]
  > sink.a = file:$TESTTMP/new
  > sink.b = unix:$TESTTMP/none
  > sink.c = syslog+tcp://bob:hunter2@h
  > sink.d = otlp:http://127.0.0.1:1
  > END
    error: $TESTTMP/more.hgrc:4: uilog.sink.c: 'syslog+tcp://...@h': it is not //HOST or //HOST:PORT
      until then every event for it is lost, and counted
    error: $TESTTMP/more.hgrc:3: uilog.sink.b: socket: $TESTTMP/none: No such file or directory (os error 2): start the program that should listen there
    error: $TESTTMP/more.hgrc:5: uilog.sink.d: tcp: $LOCALIP:1: Connection refused (os error 111): start the program that should listen there, or check the port in the URL
    warning: $TESTTMP/more.hgrc:3: uilog.sink.b: $TESTTMP/none cannot be reached: No such file or directory (os error 2)
      start the program that should listen there
  3 errors, 1 warning, 0 notes
  [1]
  $ sed '/^Findings/,$d' $TESTTMP/checked | tidy
  sink.a = file:$TESTTMP/new
    file: $TESTTMP/new does not exist yet, and can be created
    can be reached, after T s
  sink.b = unix:$TESTTMP/none
    socket: $TESTTMP/none: No such file or directory (os error 2): start the program that should listen there
    cannot be used, after T s
  sink.c = syslog+tcp://...@h
    url: 'syslog+tcp://...@h': it is not //HOST or //HOST:PORT
    cannot be used, after T s
  sink.d = otlp:http://$LOCALIP:1
    settings: spans go to http://$LOCALIP:1/v1/traces, log records to http://$LOCALIP:1/v1/logs
    files: all configured files can be read
    dns: $LOCALIP is an address
    tcp: $LOCALIP:1: Connection refused (os error 111): start the program that should listen there, or check the port in the URL
    cannot be used, after T s
  $ ls $TESTTMP/new $TESTTMP/.local/state/uilog/spool/d
  ls: cannot access '$TESTTMP/new': No such file or directory
  ls: cannot access '$TESTTMP/.local/state/uilog/spool/d': No such file or directory
  [2]
  $ uilog check --config uilog.sink.a=file:$TESTTMP/new --connect sink.a -T json |
  >     "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["connects"])' |
  >     sed "s/'duration': [0-9.e-]*/'duration': T/g"
  [{'sink': 'sink.a', 'url': 'file:$TESTTMP/new', 'steps': [{'step': 'file', 'works': True, 'text': '$TESTTMP/new does not exist yet, and can be created', 'duration': T}], 'works': True, 'duration': T}]
  $ uilog check --config uilog.sink.a=file:$TESTTMP/new --connect nobody
  uilog: no sink 'nobody' is configured here (these are: a)
  [2]

Trying a script
===============

  $ cat > $TESTTMP/try.hgrc << 'END'
  > [logtoprocess]
  > commandfinish = echo "$EVENT $OPT_CANONICAL_COMMAND"; pwd; cat
  > exthook = printf 'to \033[31mstderr' >&2; exit 3
  > pythonhook = kill -9 $$
  > incoming = sleep 600
  > discovery = head -c 100000 /dev/zero | tr '\0' x
  > my-event = echo "$MSG1"
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/try.hgrc
  $ uilog check --run commandfinish | tidy | sed '/^Findings/,$d'
  commandfinish = echo "$EVENT $OPT_CANONICAL_COMMAND"; pwd; cat
    environment:
      EVENT=commandfinish
      HGPID=N
      MSG1=status exited 0 after 1.25 seconds\n
      HG=HG
      UILOG_EVENT_ID=SESSION-1
      UILOG_SESSION=SESSION
      UILOG_TIME=TIME
      UILOG_DEPTH=1
      OPT_RETURN_CODE=0
      OPT_DURATION=1.25
      OPT_CANONICAL_COMMAND=status
      UILOG_CHECK=1
    output:
      commandfinish status
      $TESTTMP/repo
      {"version":1,"event":"commandfinish","id":"SESSION-1","session":"SESSION","parent_session":null,"time":"TIME","duration":1.25,"pid":N,"user":"*","root":"$TESTTMP/repo","message":"status exited 0 after 1.25 seconds\n","options":{"return_code":0,"duration":1.25,"canonical_command":"status"},"lost":0} (glob)
    exit status 0 after T s
  $ uilog check --run exthook | tidy
  exthook = printf 'to \033[31mstderr' >&2; exit 3
    environment:
      EVENT=exthook
      HGPID=N
      MSG1=exthook-precommit: true finished in 0.01 seconds\n
      HG=HG
      UILOG_EVENT_ID=SESSION-1
      UILOG_SESSION=SESSION
      UILOG_TIME=TIME
      UILOG_DEPTH=1
      OPT_HOOK=precommit
      OPT_HOOKTYPE=precommit
      OPT_DURATION=0.0125
      OPT_SOURCE=/sample/.hg/hgrc:2
      OPT_EXIT_CODE=0
      OPT_VETOED=0
      UILOG_CHECK=1
    output:
      to \u{1b}[31mstderr
    exit status 3 after T s
  Findings
    error: $TESTTMP/try.hgrc:3: the script of 'exthook' has failed: exit status 3
    warning: $TESTTMP/try.hgrc:7: nothing in Mercurial emits the event 'my-event'
      ignore this if an extension of yours, or `uilog emit`, emits it
    warning: USER:5: logtoprocess.commandfinish = cat is overridden
      the value in $TESTTMP/try.hgrc:2 is used
  1 error, 2 warnings, 0 notes
  $ findings --run pythonhook | grep '^  error'
    error: $TESTTMP/try.hgrc:4: the script of 'pythonhook' has failed: killed by SIGKILL
  $ uilog check --run incoming --config uilog.script-timeout=0.1 | tidy |
  >     grep after
    it timed out (uilog.script-timeout) after T s
  $ uilog check --run discovery | tidy | cut -c1-60 |
  >     sed '/^Findings/,$d;/environment/,/UILOG_CHECK/d'
  discovery = head -c 100000 /dev/zero | tr '\0' x
    output:
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      ... and 34464 bytes more
    exit status 0 after T s
  $ uilog check --run my-event | tidy | grep -A3 output
    output:
      a sample of my-event
  
    exit status 0 after T s
  $ findings --run no-such-event | grep -A1 '^  error'
    error: the event 'no-such-event' has neither a script nor a sink
      [logtoprocess] no-such-event = SCRIPT

Nothing of that has been logged. A record that a sink was given has a number.

  $ settled
  $ test -e .hg/blackbox.log
  [1]
  $ ls ~/.local/state/uilog
  numbers

Ctrl-C ends the script, and then the command.

  $ cat > $TESTTMP/interrupt.py << 'END'
  > import os, signal, subprocess, sys, time
  > mark = sys.argv[1]
  > proc = subprocess.Popen(
  >     ['uilog', 'check', '--run', 'command'], stdout=subprocess.PIPE)
  > while not os.path.exists(mark):
  >     time.sleep(0.01)
  > proc.send_signal(signal.SIGINT)
  > output, _ = proc.communicate()
  > print(proc.returncode, b'interrupted' in output, b'bye' in output)
  > END
  $ cat > $TESTTMP/slow.hgrc << 'END'
  > [logtoprocess]
  > command = trap 'echo bye; exit 0' TERM
  >   touch $got/mark
  >   sleep 600 & wait
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/slow.hgrc \
  >     "$PYTHON" $TESTTMP/interrupt.py $got/mark
  130 True True

Text of others
==============

A path may hold what a terminal would obey. It is shown, and not printed.

  $ evil=$TESTTMP/`printf 'red\033[31m\302\2331m'`
  $ hg init "$evil"
  $ mkdir -p "$evil/state/uilog/spool/x"
  $ seen() {
  >     "$PYTHON" -c 'import re, sys
  > text = sys.stdin.buffer.read()
  > print(re.search(rb"red\\(u\{1b|x1b)", text) is not None,
  >     re.findall(rb"\x1b|\xc2\x9b", text))'
  > }
  $ cd "$evil"
  $ hg debuguilog --config extensions.blackbox= | seen
  True []
  $ hg debuguilog -T json --config extensions.blackbox= | grep -c 'red.u001b'
  1
  $ HGRCPATH=$user uilog check 2>&1 | seen
  True []
  $ XDG_STATE_HOME=$evil/state uilog status | seen
  True []
  $ XDG_STATE_HOME=$evil/state uilog spool | seen
  True []
  $ uilog check -R "$evil/none" 2>&1 | seen
  True []
  $ uilog spool export -o "$evil/none/x" 2>&1 | seen
  True []
  $ uilog run -- "$evil/none" 2>&1 | seen
  True []
  $ cd $TESTTMP/repo

For programs
============

  $ cat > $TESTTMP/show.py << 'END'
  > import json, sys
  > def show(value, indent):
  >     if isinstance(value, dict):
  >         for key, inner in value.items():
  >             if isinstance(inner, (dict, list)) and inner:
  >                 print(indent + key)
  >                 show(inner, indent + '  ')
  >             else:
  >                 print(indent + key, json.dumps(inner))
  >     else:
  >         for inner in value[:1]:
  >             if isinstance(inner, (dict, list)):
  >                 show(inner, indent + '  ')
  >             else:
  >                 print(indent + json.dumps(inner))
  > show(json.load(sys.stdin), '')
  > END
  $ uilog check -T json --run exthook | "$PYTHON" $TESTTMP/show.py | tidy
  root "$TESTTMP/repo"
  hg "HG"
  files
      path "USER"
      layer "user"
      state "read"
      detail null
  switched_off []
  hgs
      path "HG"
      found
        "beside this uilog"
      version "*" (glob)
      uilog "*/hgext3rd/uilog/__init__.py" (glob)
  extensions
      name "uilog"
      enabled true
      broken false
      source "USER:2"
  scripts
      event "commandfinish"
      script "echo \"$EVENT $OPT_CANONICAL_COMMAND\"; pwd; cat"
      stdin "json"
      source "$TESTTMP/try.hgrc:2"
      program
        builtin "echo"
  settings
      section "uilog"
      name "enabled"
      value "yes"
      source null
  findings
      severity "error"
      code "run-failed"
      text "the script of 'exthook' has failed: exit status 3"
      place "$TESTTMP/try.hgrc:3"
      advice null
  sinks []
  runs
      event "exthook"
      script "printf 'to \\033[31mstderr' >&2; exit 3"
      environment
        "EVENT=exthook"
      output "to \u001b[31mstderr"
      output_bytes 14
      ending
        exited 3
      duration 0.* (glob)
  tries []
  connects []

Colours
=======

  $ uilog check --color always | tidy | sed -n '/Findings/,$p' | cat -v
  ^[[1mFindings^[[0m
    ^[[1m^[[33mwarning^[[0m: ^[[36m$TESTTMP/try.hgrc:7^[[0m: nothing in Mercurial emits the event 'my-event'
      ignore this if an extension of yours, or `uilog emit`, emits it
    ^[[1m^[[33mwarning^[[0m: ^[[36mUSER:5^[[0m: logtoprocess.commandfinish = cat is overridden
      the value in $TESTTMP/try.hgrc:2 is used
  0 errors, 2 warnings, 0 notes
  $ uilog check --color never | tail -1 | cat -v
  0 errors, 2 warnings, 0 notes
