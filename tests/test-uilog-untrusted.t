#require root

What an untrusted hgrc says runs nothing.

(Only root can give a file to somebody else.)

  $ . "$TESTDIR/helpers/setup.sh"
  $ hg init repo
  $ cd repo
  $ cat > .hg/hgrc << 'END'
  > [logtoprocess]
  > command = echo "the repository's: $MSG1" >> $got/log
  > [uilog]
  > max-scripts = 3
  > END

As long as the file is ours, it counts.

  $ hg root
  $TESTTMP/repo
  $ settled
  $ cat $got/log
  the repository's: root
  
  $ rm $got/log

If it is another user's, nothing in it does; hg's own warnings are what they
are without the extension.

  $ chown 65534 .hg/hgrc
  $ hg root 2> $TESTTMP/warnings
  $TESTTMP/repo
  $ hg root --config extensions.uilog=! 2> $TESTTMP/stock-warnings
  $TESTTMP/repo
  $ cmp $TESTTMP/warnings $TESTTMP/stock-warnings
  $ sort -u $TESTTMP/warnings
  not trusting file $TESTTMP/repo/.hg/hgrc from untrusted user *, group * (glob)
  $ settled
  $ ls $got
  $ hg debuguilog 2> $TESTTMP/warnings | sed '/^dispatcher/,$d'
  version: * (glob)
  session: [0-9a-f]{32} (re)
  sinks: none
  settings:
    uilog.enabled = yes (default)
    uilog.max-scripts = 8 (default)
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
  scripts: none
  $ cmp $TESTTMP/warnings $TESTTMP/stock-warnings

A script of our own still runs.

  $ hg root --config 'logtoprocess.command=echo mine >> $got/log' 2>&1 |
  >     grep -v trusting
  $TESTTMP/repo
  $ settled
  $ cat $got/log
  mine

And a sink of our own is told, but none of the repository's.

  $ cat >> .hg/hgrc << END
  > [uilog]
  > sink.theirs = file:$got/theirs
  > END
  $ hg root --config uilog.sink.ours=file:$got/ours 2>&1 | grep -v trusting
  $TESTTMP/repo
  $ settled
  $ ls $got
  log
  ours
