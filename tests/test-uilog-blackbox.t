The blackbox looks as stock hg writes it, and a command does not notice when it
cannot be written.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat > $TESTTMP/say.py << 'END'
  > from mercurial import registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'say', [], optionalrepo=True)
  > def say(ui, repo):
  >     for text in (
  >         b'100%\n', b'%s %d\n', b'nul \0 byte\n', b'\xff\xfe\n', b'', b'\n',
  >         b'no newline', b'a\nb\n', b'\r\n', b'x' * 9000 + b'\n'
  >     ):
  >         ui.log(b'said', b'%s', text)
  >     ui.log(b'said', b'100%%\n')
  >     ui.log(b'said', b'%d of %s\n', 1, b'two')
  > END
  $ cat >> $HGRCPATH << END
  > blackbox =
  > say = $TESTTMP/say.py
  > END

The same is done with stock hg and with uilog, in the same place, one after the
other. What they print and what they log has to be the same, but for process
ids and durations.

  $ LOGNAME=bob
  $ export LOGNAME
  $ cat > $TESTTMP/stock.hgrc << END
  > [extensions]
  > uilog = !
  > END
  $ touch $TESTTMP/uilog.hgrc
  $ run_as() {
  >     rm -rf $TESTTMP/run
  >     mkdir $TESTTMP/run
  >     (
  >         cd $TESTTMP/run
  >         HGRCPATH=$HGRCPATH:$TESTTMP/$1.hgrc
  >         export HGRCPATH
  >         "$PYTHON" "$helpers/run_commands.py" < $TESTTMP/commands
  >     ) > $TESTTMP/$1.raw 2>&1
  >     sed -e 's/ ([0-9][0-9]*)/ (PID)/g' \
  >         -e 's/^pid: [0-9]*/pid: N/' \
  >         -e 's/\(after\|in\) [0-9.e-]* seconds/\1 N seconds/' \
  >         $TESTTMP/$1.raw > $TESTTMP/$1.out
  > }
  $ same() {
  >     cat > $TESTTMP/commands
  >     run_as stock
  >     run_as uilog
  >     diff -au $TESTTMP/stock.out $TESTTMP/uilog.out
  > }
  $ both() {
  >     same && cat $TESTTMP/uilog.out
  > }
  $ ours() {
  >     cat > $TESTTMP/commands
  >     run_as uilog
  >     cat $TESTTMP/uilog.out
  > }

A day's work, everything that is logged

  $ cat > $TESTTMP/work << 'END'
  > init repo
  > cd repo
  > ! echo a > a
  > commit -Am a
  > confuse -q
  > tag one
  > update 0
  > ! echo b > b
  > commit -Am b
  > merge
  > status
  > commit -m merged
  > branches
  > tags
  > id -r nope
  > nope
  > clone -q . ../clone
  > ! echo c > c
  > commit -qAm c
  > --cwd ../clone pull
  > --cwd ../clone incoming
  > --cwd ../clone strip tip
  > rebase -r tip -d 0
  > say
  > update -q null
  > ! cat .hg/blackbox.log ../clone/.hg/blackbox.log
  > END
  $ cat > $TESTTMP/work.hgrc << 'END'
  > [alias]
  > confuse = log --limit 3
  > [hooks]
  > update = echo hooked
  > commit = test -n "$HG_NODE"
  > [extensions]
  > strip =
  > rebase =
  > END
  $ (HGRCPATH=$HGRCPATH:$TESTTMP/work.hgrc; same < $TESTTMP/work)
  $ lines() {
  >     grep -ac '^1970' $TESTTMP/uilog.out
  > }
  $ test `lines` -gt 50
  $ echo '[blackbox]' >> $TESTTMP/work.hgrc
  $ echo 'logsource = yes' >> $TESTTMP/work.hgrc
  $ (HGRCPATH=$HGRCPATH:$TESTTMP/work.hgrc; same < $TESTTMP/work)

What lines look like

  $ both << 'END'
  > init repo
  > cd repo
  > id
  > ! cat .hg/blackbox.log; rm .hg/blackbox.log
  > say
  > ! head -n 6 .hg/blackbox.log | tr '\0' '0'
  > END
  + init repo
  + cd repo
  + id
  000000000000 tip
  + ! cat .hg/blackbox.log; rm .hg/blackbox.log
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> init repo exited 0 after N seconds
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> id
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> id exited 0 after N seconds
  + say
  + ! head -n 6 .hg/blackbox.log | tr '\0' '0'
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> say
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> 100%
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> %s %d
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> nul 0 byte
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> \xff\xfe (esc)
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> 1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> 

The user, from wherever Python takes it

  $ cat > $TESTTMP/user << 'END'
  > init repo
  > ! cat repo/.hg/blackbox.log
  > END
  $ (LOGNAME=; USER=alice; export USER; same < $TESTTMP/user)
  $ grep -o ' alice @' $TESTTMP/uilog.out
   alice @
  $ (LOGNAME='a b>c'; same < $TESTTMP/user)
  $ (unset LOGNAME USER LNAME; USERNAME=eve; export USERNAME; same < $TESTTMP/user)
  $ (unset LOGNAME USER LNAME USERNAME; same < $TESTTMP/user)

Settings
========

What is logged

  $ same << 'END'
  > init repo
  > cd repo
  > say --config blackbox.track=
  > say --config blackbox.track=command
  > say --config 'blackbox.track=command, commandfinish'
  > say --config blackbox.track=* --config 'blackbox.ignore=said, extension'
  > say --config 'blackbox.track=*, said' --config 'blackbox.ignore=said, extension'
  > say --config blackbox.track=nope
  > say --config blackbox.ignore=extension
  > say --config blackbox.ignore=command,commandfinish,extension
  > ! cat .hg/blackbox.log
  > END
  $ test `lines` -gt 40

What a line says

  $ same << 'END'
  > init repo --config blackbox.logsource=yes
  > cd repo
  > ! echo a > a
  > id -q --config blackbox.logsource=yes --config blackbox.dirty=yes
  > add a -q --config blackbox.dirty=yes
  > id -q --config blackbox.dirty=yes
  > id -q
  > commit -m a --config blackbox.dirty=yes
  > ! rm a
  > id -q --config blackbox.dirty=yes
  > revert a -q
  > id -q --config blackbox.dirty=yes
  > ! cat .hg/blackbox.log
  > END
  $ grep -o '@[0-9a-f+]* (.*> id' $TESTTMP/uilog.out
  @0000000000000000000000000000000000000000 (PID) [command]> id
  @0000000000000000000000000000000000000000 (PID) [commandfinish]> id
  @0000000000000000000000000000000000000000+ (PID)> id
  @0000000000000000000000000000000000000000+ (PID)> id
  @0000000000000000000000000000000000000000 (PID)> id
  @0000000000000000000000000000000000000000 (PID)> id
  @cb9a9f314b8b07ba71012fcdbc544b5a4d82ff5b+ (PID)> id
  @cb9a9f314b8b07ba71012fcdbc544b5a4d82ff5b+ (PID)> id
  @cb9a9f314b8b07ba71012fcdbc544b5a4d82ff5b (PID)> id
  @cb9a9f314b8b07ba71012fcdbc544b5a4d82ff5b (PID)> id

Dates

  $ cat > $TESTTMP/dates << 'END'
  > init repo
  > cd repo
  > ! rm .hg/blackbox.log
  > END
  $ for format in '%Y/%m/%d %H:%M' %1 %2 '%1:%2' %f '%S.%f %z' '[%Z]' '%%1 %%f' \
  >     % '%Y %' '100 %q' ' ' ''; do
  >     echo "root -q --config 'blackbox.date-format=$format' --config 'devel.default-date=1334347993 -7260'"
  > done >> $TESTTMP/dates
  $ for date in '-1 0' '-2147483648 0' '2147483647 -50400' '1334347993 43200' \
  >     '2020-02-29 12:34 +0530' 'Feb 1 2003 UTC'; do
  >     echo "root -q --config 'devel.default-date=$date'"
  > done >> $TESTTMP/dates
  $ echo '! cat .hg/blackbox.log' >> $TESTTMP/dates
  $ same < $TESTTMP/dates
  $ sed -n 's/ bob .* exited .*//p' $TESTTMP/uilog.out
  2012/04/13 22:14
  +02
  01
  +02:01
  000000
  13.000000 +0201
  []
  %+02 %f
  %
  2012 %
  100 %q
  2012-04-13 22:14:13.000
  2012-04-13 22:14:13.000
  1969-12-31 23:59:59.000
  1901-12-13 20:45:52.000
  2038-01-19 03:14:07.000
  2012-04-13 08:13:13.000
  2020-02-29 12:34:00.000
  2003-02-01 00:00:00.000

The clock, and what stands for it

  $ cat > $TESTTMP/clock.py << 'END'
  > import datetime
  > now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
  > for line in open('.hg/blackbox.log'):
  >     then = datetime.datetime.strptime(line[:23], '%Y-%m-%d %H:%M:%S.%f')
  >     is_now = abs(now - then) < datetime.timedelta(minutes=5)
  >     print('now' if is_now else then)
  > END
  $ ours << 'END'
  > init repo
  > cd repo
  > root --config devel.default-date=now
  > root --config devel.default-date=
  > ! "$PYTHON" $TESTTMP/clock.py
  > END
  + init repo
  + cd repo
  + root --config devel.default-date=now
  $TESTTMP/run/repo
  + root --config devel.default-date=
  $TESTTMP/run/repo
  + ! "$PYTHON" $TESTTMP/clock.py
  1970-01-01 00:00:00
  now
  now
  now
  now

Where hg can be asked to show its lines (since 6.4)

  $ same << 'END'
  > init repo
  > cd repo
  > say --config blackbox.debug.to-stderr=yes
  > ! cat .hg/blackbox.log; rm .hg/blackbox.log; mkdir .hg/blackbox.log
  > say --config blackbox.debug.to-stderr=yes
  > END
  $ rm -r ~/.local

Sizes

  $ cat > $TESTTMP/sizes << 'END'
  > init repo
  > cd repo
  > END
  $ for size in 'maxfiles=1' 'maxfiles=2' 'maxfiles=3' 'maxfiles=4' \
  >     'maxfiles=20' 'maxsize=0' 'maxsize=-1' 'maxsize=150' \
  >     'maxsize=101 b' 'maxsize=0.1 kb' 'maxsize=1 MB'; do
  >     echo '! rm -rf .hg/blackbox.log* .hg/.blackbox*'
  >     for n in 1 2 3 4; do
  >         echo "root -q --config blackbox.track=command --config blackbox.maxsize=1 --config 'blackbox.$size' --config x.y=$n"
  >     done
  >     echo "! cd .hg; for log in \`ls blackbox.log*\`; do echo \$log:; cat \$log; done"
  > done >> $TESTTMP/sizes
  $ same < $TESTTMP/sizes
  $ grep '^blackbox.log' $TESTTMP/uilog.out | LC_ALL=C sort | uniq -c
        8 blackbox.log.1:
        6 blackbox.log.2:
        5 blackbox.log.3:
       11 blackbox.log:

With no file to be kept, stock hg fails. We keep none.

  $ ours << 'END'
  > init repo
  > cd repo
  > root --config blackbox.maxsize=1 --config blackbox.maxfiles=0
  > root --config blackbox.maxsize=1 --config blackbox.maxfiles=-1
  > ! ls .hg | grep blackbox; cat .hg/blackbox.log
  > END
  + init repo
  + cd repo
  + root --config blackbox.maxsize=1 --config blackbox.maxfiles=0
  $TESTTMP/run/repo
  + root --config blackbox.maxsize=1 --config blackbox.maxfiles=-1
  $TESTTMP/run/repo
  + ! ls .hg | grep blackbox; cat .hg/blackbox.log
  blackbox.log
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> root --config 'blackbox.maxsize=1' --config 'blackbox.maxfiles=-1' exited 0 after N seconds

Old files beyond the limit stay, and so do others

  $ same << 'END'
  > init repo
  > cd repo
  > ! for name in .5 .6 .10 .01 .1x .old -1; do echo "was$name" > .hg/blackbox.log$name; done
  > root --config blackbox.maxsize=1 --config blackbox.maxfiles=3
  > root --config blackbox.maxsize=1 --config blackbox.maxfiles=3
  > ! cd .hg; for log in `ls blackbox.log*`; do echo $log:; cat $log; done
  > END

What cannot be understood fails every command of stock hg's, and none of ours:
the default stands.

  $ cat > $TESTTMP/commands << 'END'
  > init repo
  > cd repo
  > root -q --config blackbox.maxsize=lots
  > root -q --config blackbox.maxfiles=many
  > root -q --config blackbox.dirty=perhaps
  > root -q --config blackbox.logsource=maybe
  > root -q --config "devel.default-date=no date"
  > ! sed 's/^.* bob/bob/' .hg/blackbox.log
  > END
  $ run_as stock
  $ grep '^config error' $TESTTMP/stock.out | sed 2q
  config error: blackbox.maxsize is not a byte quantity ('lots')
  config error: blackbox.maxfiles is not a valid integer ('many')
  $ run_as uilog
  $ cat $TESTTMP/uilog.out
  + init repo
  + cd repo
  + root -q --config blackbox.maxsize=lots
  $TESTTMP/run/repo
  + root -q --config blackbox.maxfiles=many
  $TESTTMP/run/repo
  + root -q --config blackbox.dirty=perhaps
  $TESTTMP/run/repo
  + root -q --config blackbox.logsource=maybe
  $TESTTMP/run/repo
  + root -q --config "devel.default-date=no date"
  $TESTTMP/run/repo
  + ! sed 's/^.* bob/bob/' .hg/blackbox.log
  bob @0000000000000000000000000000000000000000 (PID)> init repo exited 0 after N seconds
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.maxsize=lots'
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.maxsize=lots' exited 0 after N seconds
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.maxfiles=many'
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.maxfiles=many' exited 0 after N seconds
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.dirty=perhaps'
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.dirty=perhaps' exited 0 after N seconds
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.logsource=maybe'
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'blackbox.logsource=maybe' exited 0 after N seconds
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'devel.default-date=no date'
  bob @0000000000000000000000000000000000000000 (PID)> root -q --config 'devel.default-date=no date' exited 0 after N seconds

Repositories
============

Before there is one, and where several are in one process: what belongs to none
goes to the last.

  $ both << 'END'
  > root
  > init repo
  > ! cat repo/.hg/blackbox.log
  > version -q
  > ! cat repo/.hg/blackbox.log
  > END
  + root
  abort: no repository found in '$TESTTMP/run' (.hg not found)
  [10]
  + init repo
  + ! cat repo/.hg/blackbox.log
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> init repo exited 0 after N seconds
  + version -q
  Mercurial Distributed SCM (version *) (glob)
  + ! cat repo/.hg/blackbox.log
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> init repo exited 0 after N seconds
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> version -q
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> version -q exited 0 after N seconds
  $ same << 'END'
  > init a
  > ! echo a > a/a
  > -R a commit -qAm a a/a
  > clone -q a b
  > -R b root
  > ! echo b > a/b
  > -R a commit -qAm b a/b
  > -R b pull a
  > -R a incoming b
  > -R b say
  > -R a clone b c
  > ! cat a/.hg/blackbox.log b/.hg/blackbox.log c/.hg/blackbox.log
  > END
  $ test `lines` -gt 40

Shared ones: the log belongs to the share.

  $ both << 'END'
  > init source
  > ! echo a > source/a
  > -R source commit -qAm a source/a
  > share -q -U source share --config extensions.share=
  > ! rm -f */.hg/blackbox.log
  > cd share
  > root -q
  > cd ..
  > ! ls */.hg/blackbox.log; cat share/.hg/blackbox.log
  > END
  + init source
  + ! echo a > source/a
  + -R source commit -qAm a source/a
  + share -q -U source share --config extensions.share=
  + ! rm -f */.hg/blackbox.log
  + cd share
  + root -q
  $TESTTMP/run/share
  + cd ..
  + ! ls */.hg/blackbox.log; cat share/.hg/blackbox.log
  share/.hg/blackbox.log
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> root -q
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> root -q exited 0 after N seconds

Subrepositories: each has its own.

  $ same << 'END'
  > init main
  > cd main
  > init sub
  > ! echo sub = sub > .hgsub; echo a > sub/a
  > -R sub add -q sub/a
  > add .hgsub
  > commit -S -m both
  > ! echo b > sub/a
  > status -S --config blackbox.dirty=yes
  > update -q null
  > update -C
  > ! cat .hg/blackbox.log
  > ! cat sub/.hg/blackbox.log
  > END
  $ sed -n '/cat sub/,$p' $TESTTMP/uilog.out | grep -c '@e7b37603'
  2

Parents, as they are when the line is written

  $ same << 'END'
  > init repo
  > cd repo
  > debugbuilddag -n '+2:a <a.:b *a'
  > update -q 1
  > merge -q 2
  > id -n
  > update -qC 0
  > update -q null
  > update -q tip --config hooks.update='echo updated' --config hooks.preupdate='echo before'
  > ! echo n > n
  > commit -qAm n --config hooks.pretxncommit='echo committing' --config hooks.commit='echo committed'
  > ! cat .hg/blackbox.log
  > END
  $ grep '> id -n$' $TESTTMP/uilog.out
  1970-01-01 00:00:00.000 bob @e8ec16b776b6a49ea754cb2f65ca924305245d89 (PID)> id -n
  $ grep '> exthook' $TESTTMP/uilog.out
  1970-01-01 00:00:00.000 bob @0000000000000000000000000000000000000000 (PID)> exthook-preupdate: echo before finished in N seconds
  1970-01-01 00:00:00.000 bob @c48d7c26679fb6c9e2424d7d050a19c3c9ffd283 (PID)> exthook-update: echo updated finished in N seconds
  1970-01-01 00:00:00.000 bob @c48d7c26679fb6c9e2424d7d050a19c3c9ffd283 (PID)> exthook-pretxncommit: echo committing finished in N seconds
  1970-01-01 00:00:00.000 bob @d5fbbb3d57fdc49a698008a2c8b9f3eb5b55c6f5 (PID)> exthook-commit: echo committed finished in N seconds

A damaged dirstate: what hg says of it is what it says without a blackbox.

  $ hg init $TESTTMP/damaged
  $ cd $TESTTMP/damaged
  $ echo a > a
  $ hg commit -qAm a
  $ printf x > .hg/dirstate
  $ hg status --config extensions.blackbox=! > $TESTTMP/without 2>&1
  [255]
  $ hg status > $TESTTMP/with 2>&1
  [255]
  $ diff $TESTTMP/without $TESTTMP/with
  $ cat $TESTTMP/with
  abort: working directory state appears damaged!
  $ grep -o '@.*> status$' .hg/blackbox.log
  @??? (*)> status (glob)
  $ cd ..

What cannot be written
======================

In each case the command goes on, as stock hg's does, and says the same with
--debug. The loss is counted.

  $ echo '[blackbox]' >> $HGRCPATH
  $ echo 'track = command, commandfinish' >> $HGRCPATH
  $ lost() {
  >     hg debuguilog --config blackbox.track= | \
  >         sed -n -e '/events lost:/p' -e 's/^    [^ ]* \(lost .*written:\)/    \1/p'
  >     rm -r ~/.local
  > }
  $ same << 'END'
  > init repo
  > cd repo
  > ! rm .hg/blackbox.log; mkdir .hg/blackbox.log
  > id --debug
  > id
  > ! rmdir .hg/blackbox.log
  > id --debug
  > ! cat .hg/blackbox.log
  > END
  $ grep warning $TESTTMP/uilog.out
  warning: cannot write to blackbox.log: Is a directory
  warning: cannot write to blackbox.log: Is a directory
  $ lost
    events lost: 4

A link to nothing is created, as is a log in a place of its own

  $ same << 'END'
  > init repo --config blackbox.track=
  > cd repo
  > ! ln -s ../elsewhere .hg/blackbox.log
  > id --debug
  > ! cat elsewhere; rm elsewhere .hg/blackbox.log; ln -s nope/log .hg/blackbox.log
  > id --debug
  > END
  $ grep warning $TESTTMP/uilog.out
  warning: cannot write to blackbox.log: No such file or directory
  warning: cannot write to blackbox.log: No such file or directory
  $ lost
    events lost: 2

A link to itself

  $ same << 'END'
  > init repo --config blackbox.track=
  > cd repo
  > ! ln -s blackbox.log .hg/blackbox.log
  > id --debug
  > END
  $ grep warning $TESTTMP/uilog.out
  warning: cannot write to blackbox.log: Too many levels of symbolic links
  $ lost
    events lost: 1

A file that nobody may write to, even root: one that is a program which runs

  $ cp `which sleep` $TESTTMP/busy
  $ $TESTTMP/busy 1000 &
  $ wait_for test /proc/$!/exe -ef $TESTTMP/busy
  $ same << 'END'
  > init repo --config blackbox.track=
  > cd repo
  > ! ln -s $TESTTMP/busy .hg/blackbox.log
  > id --debug --config blackbox.maxsize=0
  > END
  $ kill $!
  $ grep warning $TESTTMP/uilog.out
  warning: cannot write to blackbox.log: Text file busy
  $ lost
    events lost: 1

Nothing but a file is written to. Stock hg hangs with a FIFO.

  $ ours << 'END'
  > init repo --config blackbox.track=
  > cd repo
  > ! mkfifo .hg/blackbox.log
  > id --debug
  > ! rm .hg/blackbox.log; ln -s /dev/null .hg/blackbox.log
  > id --debug
  > ! rm .hg/blackbox.log; ln -s /dev/full .hg/blackbox.log
  > id --debug
  > id
  > END
  + init repo --config blackbox.track=
  + cd repo
  + ! mkfifo .hg/blackbox.log
  + id --debug
  warning: cannot write to blackbox.log: No such device or address
  0000000000000000000000000000000000000000 tip
  + ! rm .hg/blackbox.log; ln -s /dev/null .hg/blackbox.log
  + id --debug
  warning: cannot write to blackbox.log: Is a device
  0000000000000000000000000000000000000000 tip
  + ! rm .hg/blackbox.log; ln -s /dev/full .hg/blackbox.log
  + id --debug
  warning: cannot write to blackbox.log: Is a device
  0000000000000000000000000000000000000000 tip
  + id
  000000000000 tip
  $ lost
    events lost: 4

The repository is gone: its directory is not brought back

  $ cat > $TESTTMP/closeremove.py << 'END'
  > def reposetup(ui, repo):
  >     class rmrepo(repo.__class__):
  >         def close(self):
  >             super(rmrepo, self).close()
  >             self.vfs.rmtree()
  >     repo.__class__ = rmrepo
  > END
  $ same << 'END'
  > init gone
  > -R gone log --debug --config extensions.closeremove=$TESTTMP/closeremove.py
  > ! ls -A gone
  > END
  $ grep warning $TESTTMP/uilog.out
  warning: cannot write to blackbox.log: No such file or directory
  $ lost
    events lost: 1

Mercurial's other logs
======================

A real command server, whose log is rotated

  $ cat > $TESTTMP/serve << 'END'
  > serving() {
  >     for n in 1 2 3; do
  >         printf 'runcommand\n\0\0\0\004root'
  >         printf 'runcommand\n\0\0\0\002id'
  >     done | hg serve --cmdserver pipe --config extensions.blackbox=! \
  >         --config cmdserver.log=$TESTTMP/run/server.log \
  >         --config cmdserver.track-log=command,commandfinish "$@" | tr '\0' '\n' |
  >         sed 's/.capabilities:/Ncapabilities:/'  # depends on the pid's digits
  > }
  > serverlogs() {
  >     cd $TESTTMP/run
  >     for log in `ls server.log*`; do
  >         echo $log:
  >         sed 's|^..../../.. ..:..:..|DATE|' $log
  >     done
  >     rm -f server.log*
  > }
  > END
  $ same << 'END'
  > init repo
  > ! cd repo; . $TESTTMP/serve; serving; serverlogs
  > ! cd repo; . $TESTTMP/serve; serving --config cmdserver.max-log-size=100; serverlogs
  > ! cd repo; . $TESTTMP/serve; serving --config cmdserver.max-log-size=1 --config cmdserver.max-log-files=3; serverlogs
  > END
  $ grep -a -E '^(DATE|server)' $TESTTMP/uilog.out | cut -d ' ' -f -9
  server.log:
  DATE (PID)> root
  DATE (PID)> root exited 0 after N seconds
  DATE (PID)> id
  DATE (PID)> id exited 0 after N seconds
  DATE (PID)> root
  DATE (PID)> root exited 0 after N seconds
  DATE (PID)> id
  DATE (PID)> id exited 0 after N seconds
  DATE (PID)> root
  DATE (PID)> root exited 0 after N seconds
  DATE (PID)> id
  DATE (PID)> id exited 0 after N seconds
  DATE (PID)> serve --cmdserver pipe --config 'extensions.blackbox=!' --config 'cmdserver.log=$TESTTMP/run/server.log'
  server.log:
  DATE (PID)> serve --cmdserver pipe --config 'extensions.blackbox=!' --config 'cmdserver.log=$TESTTMP/run/server.log'
  server.log.1:
  DATE (PID)> root exited 0 after N seconds
  DATE (PID)> id
  DATE (PID)> id exited 0 after N seconds
  server.log.2:
  DATE (PID)> id
  DATE (PID)> id exited 0 after N seconds
  DATE (PID)> root
  server.log.3:
  DATE (PID)> id exited 0 after N seconds
  DATE (PID)> root
  DATE (PID)> root exited 0 after N seconds
  server.log.4:
  DATE (PID)> root
  DATE (PID)> root exited 0 after N seconds
  DATE (PID)> id
  server.log:
  DATE (PID)> serve --cmdserver pipe --config 'extensions.blackbox=!' --config 'cmdserver.log=$TESTTMP/run/server.log'
  server.log.1:
  DATE (PID)> id exited 0 after N seconds
  server.log.2:
  DATE (PID)> id

One that cannot be written: hg says the same, and as often

  $ same << 'END'
  > init repo
  > ! mkdir server.log; cd repo; . $TESTTMP/serve; serving --debug
  > END
  $ grep -c 'cannot write to' $TESTTMP/uilog.out
  13
  $ grep -o 'cannot write to .*' $TESTTMP/uilog.out | uniq
  cannot write to server.log: [Errno 21] Is a directory: b'$TESTTMP/run/server.log'
  $ lost | sed 1q
    events lost: 13
