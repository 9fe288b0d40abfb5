#require root

`uilog check` tells what does not count because of whom it belongs to, and what
cannot be written.

(Only root can give a file to somebody else, and become somebody else.)

  $ . "$TESTDIR/helpers/setup.sh"
  $ findings() {
  >     uilog check "$@" > $TESTTMP/checked
  >     status=$?
  >     sed '0,/^Findings/d' $TESTTMP/checked
  >     return $status
  > }
  $ hg init repo
  $ cd repo
  $ cat > .hg/hgrc << 'END'
  > [logtoprocess]
  > command = cat
  > exthook =
  > [uilog]
  > max-scripts = 3
  > [ui]
  > username = somebody
  > %include more.rc
  > END
  $ cat > .hg/more.rc << 'END'
  > [logtoprocess]
  > command = no-such-program
  > pythonhook = tee
  > END
  $ chown 65534:65534 .hg/hgrc
  $ findings
    warning: $TESTTMP/repo/.hg/hgrc: belongs to user *, group *, whom you do not trust: its settings are ignored (glob)
      if you do, add to your own hgrc: [trusted] users = * (glob)
    warning: $TESTTMP/repo/.hg/more.rc: belongs to user *, group *, whom you do not trust: its settings are ignored (glob)
      if you do, add to your own hgrc: [trusted] users = * (glob)
    warning: $TESTTMP/repo/.hg/more.rc:2: logtoprocess.command = no-such-program is in an untrusted file: the script will not run
      see the finding about that file
    warning: $TESTTMP/repo/.hg/more.rc:3: logtoprocess.pythonhook = tee is in an untrusted file: the script will not run
      see the finding about that file
    warning: $TESTTMP/repo/.hg/hgrc:5: uilog.max-scripts = 3 is in an untrusted file: it is ignored
      see the finding about that file
  0 errors, 5 warnings, 0 notes
  [1]
  $ grep -E '^  untrusted|^Scripts' $TESTTMP/checked
    untrusted   repository    $TESTTMP/repo/.hg/hgrc  (user *, group *) (glob)
    untrusted   repository    $TESTTMP/repo/.hg/more.rc  (user *, group *) (glob)
  Scripts: none
  $ uilog check -T json | grep -c '"state": "untrusted"'
  2

Nor is it tried.

  $ findings --run command | grep -A1 '^  error'
    error: the event 'command' has neither a script nor a sink
      [logtoprocess] command = SCRIPT

What is trusted counts.

  $ findings --config trusted.users=65534 --config trusted.groups='*'
    error: $TESTTMP/repo/.hg/more.rc:2: there is no program 'no-such-program' on PATH: the script will fail
      install it, or correct the name; hg's PATH may also differ from yours
    warning: $TESTTMP/repo/.hg/hgrc:2: logtoprocess.command = cat is overridden
      the value in $TESTTMP/repo/.hg/more.rc:2 is used
  1 error, 1 warning, 0 notes
  [1]

What cannot be read to its end

  $ echo broken >> .hg/hgrc
  $ findings
    warning: $TESTTMP/repo/.hg/hgrc: config error at $TESTTMP/repo/.hg/hgrc:9: broken
      hg continues, because the file is not trusted; its owner has to correct it
    warning: $TESTTMP/repo/.hg/more.rc: belongs to user *, group *, whom you do not trust: its settings are ignored (glob)
      if you do, add to your own hgrc: [trusted] users = * (glob)
    warning: $TESTTMP/repo/.hg/more.rc:2: logtoprocess.command = no-such-program is in an untrusted file: the script will not run
      see the finding about that file
    warning: $TESTTMP/repo/.hg/more.rc:3: logtoprocess.pythonhook = tee is in an untrusted file: the script will not run
      see the finding about that file
    warning: $TESTTMP/repo/.hg/hgrc:5: uilog.max-scripts = 3 is in an untrusted file: it is ignored
      see the finding about that file
  0 errors, 5 warnings, 0 notes
  [1]

What cannot be written
======================

Somebody else comes, to a directory that he may enter.

  $ open=`mktemp -d`
  $ chmod 755 $open
  $ cp "`command -v uilog`" $open
  $ mkdir -p $open/repo/.hg/.blackbox.log.kept $open/home
  $ touch $open/repo/.hg/blackbox.log
  $ printf '[extensions]\nuilog =\nblackbox =\n[trusted]\nusers = root\n' \
  >     > $open/hgrc
  $ cat > $TESTTMP/as_nobody.py << 'END'
  > import os, sys
  > os.setgroups([])
  > os.setgid(65534)
  > os.setuid(65534)
  > os.chdir(sys.argv[1])
  > os.environ['HOME'] = sys.argv[1] + '/home'
  > os.environ['HGRCPATH'] = sys.argv[1] + '/hgrc'
  > os.execv(sys.argv[1] + '/uilog', ['uilog'] + sys.argv[2:])
  > END
  $ as_nobody() {
  >     "$PYTHON" $TESTTMP/as_nobody.py $open "$@" | sed "s#$open#OPEN#g" |
  >         grep -A1 -E 'blackbox cannot|not used for|failures are'
  > }
  $ as_nobody check -R repo
    error: OPEN/repo/.hg/blackbox.log: the blackbox cannot be written: Permission denied (os error 13) (it belongs to user 0)
      make it writable: chmod u+w, or chown
    warning: OPEN/repo/.hg/.blackbox.log.kept: this directory is not used for old files: it belongs to another user
      remove it: its user's uilog creates it again; until then a stock hg that rotates at the same time may destroy old files
    warning: OPEN/home/.local/state/uilog/failures.jsonl: failures are recorded in */failures-*.jsonl instead: OPEN/home/.local: it is missing, and other users may write to the directory above it (glob)
      set HOME or XDG_STATE_HOME to a directory that only you can write to
  $ rm $open/repo/.hg/blackbox.log
  $ as_nobody check -R repo
    error: OPEN/repo/.hg/blackbox.log: the blackbox cannot be created: Permission denied
      make the directory .hg writable
    warning: OPEN/repo/.hg/.blackbox.log.kept: this directory is not used for old files: it belongs to another user
      remove it: its user's uilog creates it again; until then a stock hg that rotates at the same time may destroy old files
    warning: OPEN/home/.local/state/uilog/failures.jsonl: failures are recorded in */failures-*.jsonl instead: OPEN/home/.local: it is missing, and other users may write to the directory above it (glob)
      set HOME or XDG_STATE_HOME to a directory that only you can write to
  $ rm -r $open

Where somebody else comes in between
====================================

A file that others can exchange, a socket that is somebody else's

  $ public=`mktemp -d`
  $ chmod 777 $public
  $ "$PYTHON" -c 'import socket, sys
  > for path in sys.argv[1:]:
  >     socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(path)' \
  >     $public/theirs $public/ours
  $ chown 12345:12345 $public/theirs
  $ cat > $TESTTMP/public.hgrc << END
  > [uilog]
  > sink.a = file:$public/log
  > sink.b = unix-dgram:$public/theirs
  > sink.c = unix-dgram:$public/ours
  > sink.d = syslog:$public/theirs
  > sink.d:owner = 12345
  > sink.e = syslog+tcp://localhost:5140
  > sink.e:owner = 12345
  > END
  $ HGRCPATH=$HGRCPATH:$TESTTMP/public.hgrc findings --cwd / > $TESTTMP/out
  [1]
  $ sed "s#$public#PUBLIC#g" $TESTTMP/out
    error: $TESTTMP/public.hgrc:3: uilog.sink.b: PUBLIC/theirs: the socket belongs to user 12345, neither to root nor to you; to allow that user: [uilog] sink.b:owner = 12345
      until then every event for it is lost, and counted
    warning: $TESTTMP/public.hgrc:2: uilog.sink.a: PUBLIC can be written by others: other users can replace PUBLIC/log
      name a file in a directory that only you can write to
    warning: $TESTTMP/public.hgrc:8: uilog.sink.e:owner: a sink on the network has no such option
      it is for local sockets: unix:, unix-dgram:, syslog:
  1 error, 2 warnings, 0 notes

What is not sent there is counted, and found in the journal.

  $ HGRCPATH=$HGRCPATH:$TESTTMP/public.hgrc hg root --cwd $TESTTMP/repo \
  >     --config uilog.sink.b:track=commandfinish \
  >     --config uilog.sink.a= --config uilog.sink.c= --config uilog.sink.d= \
  >     --config uilog.sink.e= > $TESTTMP/out 2>&1
  $ settled
  $ uilog status > $TESTTMP/out
  [1]
  $ grep -E 'events? lost|  lost  ' $TESTTMP/out | sed "s#$public#PUBLIC#g"
    1 event lost, 1 failure
    *  lost  (1 event)  uilog.sink.b: PUBLIC/theirs: the socket belongs to user 12345, neither to root nor to you; to allow that user: [uilog] sink.b:owner = 12345 (glob)
  $ HGRCPATH=$HGRCPATH:$TESTTMP/public.hgrc findings --cwd / > $TESTTMP/out
  [1]
  $ grep -c '^  warning: .*:3: uilog.sink.b: .* 1 lost, once in the last 24 hours' \
  >     $TESTTMP/out
  1
  $ rm -r $public
