An event of one's own, without hg: `uilog emit`.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat >> $HGRCPATH << END
  > [uilog]
  > max-scripts = 1
  > [logtoprocess]
  > backup = $save_environ
  > failing = exit 3
  > END
  $ hg init repo
  $ cd repo
  $ echo a > a
  $ hg commit -qAm a

A script gets it as it would from hg
====================================

  $ uilog emit backup 'it is done' --opt return_code=0 --opt 'words=a b' \
  >     --opt odd-key=é
  $ settled
  $ environ $got/backup EVENT MSG1 OPT_RETURN_CODE OPT_WORDS OPT_ODD_KEY
  EVENT=backup
  MSG1=it is done\n
  OPT_RETURN_CODE=0
  OPT_WORDS=a b
  OPT_ODD_KEY=\xc3\xa9
  $ environ $got/backup UILOG_DEPTH HG
  UILOG_DEPTH=1
  HG=*/hg (glob)

A newline that is there is not added.

  $ uilog emit backup 'twice
  > '
  $ settled
  $ environ $got/backup MSG1
  MSG1=twice\n

Who takes it
============

  $ uilog emit -v backup x
  backup: logtoprocess
  $ uilog emit -v unheard x
  unheard: no sink
  $ settled

In a repository with a blackbox it is a line there, as from hg, whose own
parents and dates it has.

  $ uilog emit -v backup 'on the box' --config extensions.blackbox=
  backup: logtoprocess, blackbox
  $ settled
  $ hg log -r . -T '{node}\n' > $TESTTMP/node
  $ sed -e "s/@`cat $TESTTMP/node` /@NODE /" -e 's/([0-9]*)/(N)/' \
  >     .hg/blackbox.log
  1970-01-01 00:00:00.000 * @NODE (N)> on the box (glob)
  $ cd ..
  $ uilog emit -v note 'from outside' -R repo --config extensions.blackbox= \
  >     --config blackbox.logsource=yes --config blackbox.track='*'
  note: blackbox
  $ grep -c '\[note\]> from outside' repo/.hg/blackbox.log
  1
  $ uilog emit -v note 'from outside' --cwd repo --config extensions.blackbox=
  note: blackbox
  $ uilog emit -v note x -R repo --config extensions.blackbox= \
  >     --config blackbox.ignore=note
  note: no sink
  $ uilog emit -v note x -R repo --config extensions.blackbox= \
  >     --config blackbox.track=command,note --config blackbox.ignore=note
  note: blackbox

A blackbox outside of a repository is none.

  $ uilog emit -v note x --config extensions.blackbox=
  note: no sink

Two parents, as hg writes them; dirstates of both versions.

  $ cd repo
  $ hg up -q null; echo b > b; hg commit -qAm b; hg merge -q 0
  $ mv .hg/blackbox.log ../before
  $ uilog emit note x --config extensions.blackbox=
  $ hg log -r 'p1()' -T ' @{node}+' > ../parents; hg log -r 'p2()' \
  >     -T '{node} (' >> ../parents
  $ grep -cF "`cat ../parents`" .hg/blackbox.log
  1
  $ cat >> $HGRCPATH << END
  > [storage]
  > dirstate-v2.slow-path = allow
  > END
  $ hg init ../v2 --config format.use-dirstate-v2=1
  $ grep -c dirstate-v2 ../v2/.hg/requires
  1
  $ cd ../v2
  $ hg pull -qu ../repo -r 0; hg pull -q ../repo; hg merge -q tip
  $ uilog emit note x --config extensions.blackbox=
  $ hg log -r 'p1()' -T ' @{node}+' > ../parents; hg log -r 'p2()' \
  >     -T '{node} (' >> ../parents
  $ grep -cF "`cat ../parents`" .hg/blackbox.log
  1
  $ cd ../repo

Without its extension nothing is a sink.

  $ uilog emit -v backup x --config extensions.uilog=!
  backup: no sink
  $ uilog emit -v backup x --config extensions.uilog=! \
  >     --config extensions.logtoprocess=
  backup: logtoprocess
  $ settled

What goes wrong
===============

A lost event is told of, and counted where hg's are.

  $ rm .hg/blackbox.log
  $ mkdir .hg/blackbox.log
  $ uilog emit note x --config extensions.blackbox=
  uilog: lost 1 event(s) at note: $TESTTMP/repo/.hg/blackbox.log cannot be written: Is a directory
  [1]
  $ rmdir .hg/blackbox.log
  $ hg debuguilog | grep 'Is a directory'
  *Is a directory* (glob)

That a sink has lost it is known a moment later, and waited for.

  $ uilog emit note x --config uilog.sink.f=file:$TESTTMP/no/$TESTTMP/log
  $ uilog emit note x --config uilog.sink.f=file:/proc/none/log
  uilog: lost: uilog.sink.f: /proc/none/log: No such file or directory (os error 2)
  [1]
  $ uilog emit note x --config uilog.sink.f=none:/x
  uilog: lost: uilog.sink.f: 'none:/x' is not a kind of sink: file:, syslog:, unix:, otlp:
  [1]
  $ (ulimit -f 0; uilog emit backup x) 2>&1 | sed 's/at backup:.*:/at backup: ...:/'
  uilog: lost 1 event(s) at backup: ...: File too large (os error 27)
  uilog: the journal cannot be written: File too large (os error 27)

What a spool keeps is not lost. Nothing has the name of the program but itself.

  $ uilog emit note x --config uilog.sink.f=otlp:http://127.0.0.1:9/
  $ uilog emit note x --config uilog.sink.f=file:$TESTTMP/log
  $ grep -o '"program":"[^"]*"' $TESTTMP/log
  "program":"uilog"

A name that nobody waits for may be mistyped.

  $ uilog emit bakcup x
  uilog: no sink tracks the event 'bakcup'; did you mean 'backup'?
  $ uilog emit --require-sink bakcup x
  uilog: no sink tracks the event 'bakcup'; did you mean 'backup'?
  [1]
  $ uilog emit --require-sink unheard x
  uilog: no sink tracks the event 'unheard'
  [1]
  $ uilog emit --require-sink backup x
  $ uilog emit '' x
  uilog: the event's name is empty
  [2]

A script that fails is its own affair, as hg's are.

  $ uilog emit failing x
  $ settled
  $ hg debuguilog | grep -c 'status 3'
  1

Arguments that make no sense, and a configuration that cannot be read.

  $ uilog emit backup x --opt novalue
  uilog: --opt novalue: no '='
  [2]
  $ uilog emit backup > /dev/null 2>&1
  [2]
  $ uilog emit backup x -R nowhere
  abort: repository nowhere not found
  [255]
  $ echo 'what is this' > .hg/hgrc
  $ uilog emit backup x
  config error at $TESTTMP/repo/.hg/hgrc:1: what is this
  [30]
