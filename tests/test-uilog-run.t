A command that is logged although it is not hg: `uilog run`.

What happens on terminals, with signals and with nested commands is tried in
test_run_terminal.py, test_run.py and test_run_events.py.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat >> $HGRCPATH << END
  > [uilog]
  > max-scripts = 1
  > [logtoprocess]
  > command = echo "\$EVENT: \$MSG1" >> $got/log
  > commandfinish = echo "\$EVENT \$OPT_CANONICAL_COMMAND \$OPT_RETURN_CODE:" \
  >     "\$MSG1" | sed 's/[0-9.]* seconds/N seconds/' >> $got/log
  > END
  $ shown() { settled; grep . $got/log | sort; rm -f $got/log; }
  $ hg init repo
  $ cd repo
  $ echo a > a
  $ hg commit -qAm a
  $ settled; rm $got/log

Any program
===========

  $ uilog run -- sh -c 'echo out; exit 3'
  out
  [3]
  $ shown
  command: sh -c 'echo out; exit 3'
  commandfinish sh 3: sh -c 'echo out; exit 3' exited 3 after N seconds

Before the program's name, `--` may be left out.

  $ uilog run echo -n --config x
  --config x (no-eol)
  $ shown
  command: echo -n --config x
  commandfinish echo 0: echo -n --config x exited 0 after N seconds

  $ uilog run -- no-such-program
  uilog: cannot run 'no-such-program': No such file or directory
  [127]
  $ shown
  command: no-such-program
  commandfinish no-such-program 127: no-such-program exited 127 after N seconds

  $ uilog run > /dev/null 2>&1
  [2]

An option that uilog does not have is an error. After `--`, it is a program's name.

  $ uilog run --nonsense -- touch started 2> errors
  [2]
  $ head -1 errors
  error: unexpected argument '--nonsense' found
  $ test -e started
  [1]
  $ uilog run -- --nonsense
  uilog: cannot run '--nonsense': No such file or directory
  [127]
  $ shown
  command: --nonsense
  commandfinish --nonsense 127: --nonsense exited 127 after N seconds

rhg
===

A stand-in, which knows one command and becomes hg for all others.

  $ mkdir $TESTTMP/bin
  $ hg=`command -v hg`
  $ cat > $TESTTMP/bin/rhg << END
  > #!/bin/sh
  > case " \$* " in
  > *" files "*|*" mine "*) echo native; exit 1;;
  > esac
  > exec $hg "\$@"
  > END
  $ chmod +x $TESTTMP/bin/rhg
  $ PATH=$TESTTMP/bin:$PATH
  $ uilog run -- rhg files
  native
  [1]
  $ shown
  command: files
  commandfinish files 1: files exited 1 after N seconds
  $ uilog run -- rhg id -n
  0
  $ shown
  command: id -n
  commandfinish identify 0: id -n exited 0 after N seconds

Its early options are heard: whose hgrc counts.

  $ hg init ../other
  $ cat > ../other/.hg/hgrc << END
  > [alias]
  > mine = files
  > [logtoprocess]
  > commandfinish = echo "the other's: \$OPT_CANONICAL_COMMAND" >> $got/log
  > END
  $ settled; rm $got/log
  $ uilog run -- rhg -R ../other mine
  native
  [1]
  $ shown
  command: -R ../other mine
  the other's: mine
  $ uilog run -- rhg files --config logtoprocess.commandfinish= \
  >     --config 'logtoprocess.command=echo from here >> $got/log'
  native
  [1]
  $ shown
  from here

  $ uilog run -- rhg files --config extensions.uilog=!
  native
  [1]
  $ settled
  $ test -e $got/log
  [1]

An hgrc that cannot be read
===========================

The command runs, and nothing is said but by the command. What was not logged
is told by hg afterwards.

  $ echo nonsense > .hg/hgrc
  $ uilog run -- rhg files
  native
  [1]
  $ uilog run -- rhg id -n
  config error at $TESTTMP/repo/.hg/hgrc:1: nonsense
  [30]
  $ rm .hg/hgrc
  $ settled
  $ test -e $got/log
  [1]
  $ hg debuguilog | grep 'config error at'
    ????-??-??T??:??:??.??????+00:00 config command config error at $TESTTMP/repo/.hg/hgrc:1 (2 times) (glob)

The recipe
==========

What --install-hint prints is what the documentation says, and it works.

  $ settled; rm -f $got/log
  $ uilog run --install-hint > $TESTTMP/hint
  $ sed -n '/^\[extensions\]/,/^ignored/p' $TESTTMP/hint | \
  >     sed "s|/usr/bin/hg|$hg|" >> $HGRCPATH
  $ sed -n '/^#!/,/^exec/p' $TESTTMP/hint > $TESTTMP/bin/hg
  $ chmod +x $TESTTMP/bin/hg
  $ hash -r
  $ hg files
  native
  [1]
  $ hg id -n
  0
  $ shown
  command: files
  command: id -n
  commandfinish files 1: files exited 1 after N seconds
  commandfinish identify 0: id -n exited 0 after N seconds
