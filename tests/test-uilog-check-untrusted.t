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
    warning: $TESTTMP/repo/.hg/hgrc: belongs to user *, group *, whom you do not trust: nothing in it counts (glob)
      if you do, say so in your own hgrc: [trusted] users = * (glob)
    warning: $TESTTMP/repo/.hg/more.rc: belongs to user *, group *, whom you do not trust: nothing in it counts (glob)
      if you do, say so in your own hgrc: [trusted] users = * (glob)
    warning: $TESTTMP/repo/.hg/more.rc:2: logtoprocess.command = no-such-program stands in an untrusted file: the script will not run
      see what is said of that file
    warning: $TESTTMP/repo/.hg/more.rc:3: logtoprocess.pythonhook = tee stands in an untrusted file: the script will not run
      see what is said of that file
    warning: $TESTTMP/repo/.hg/hgrc:5: uilog.max-scripts = 3 stands in an untrusted file: it does not count
      see what is said of that file
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
      what counts stands in $TESTTMP/repo/.hg/more.rc:2
  1 error, 1 warning, 0 notes
  [1]

What cannot be read to its end

  $ echo broken >> .hg/hgrc
  $ findings
    warning: $TESTTMP/repo/.hg/hgrc: config error at $TESTTMP/repo/.hg/hgrc:9: broken
      hg goes on, because the file is not trusted; its owner has to mend it
    warning: $TESTTMP/repo/.hg/more.rc: belongs to user *, group *, whom you do not trust: nothing in it counts (glob)
      if you do, say so in your own hgrc: [trusted] users = * (glob)
    warning: $TESTTMP/repo/.hg/more.rc:2: logtoprocess.command = no-such-program stands in an untrusted file: the script will not run
      see what is said of that file
    warning: $TESTTMP/repo/.hg/more.rc:3: logtoprocess.pythonhook = tee stands in an untrusted file: the script will not run
      see what is said of that file
    warning: $TESTTMP/repo/.hg/hgrc:5: uilog.max-scripts = 3 stands in an untrusted file: it does not count
      see what is said of that file
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
  >         grep -A1 -E 'blackbox cannot|failures are'
  > }
  $ as_nobody check -R repo
    error: OPEN/repo/.hg/blackbox.log: the blackbox cannot be written: Permission denied (os error 13) (it belongs to user 0)
      make it writable: chmod u+w, or chown
    error: OPEN/repo/.hg/.blackbox.log.kept: the blackbox cannot be rotated: Permission denied
      remove it: it is made again when it is needed; meanwhile the log grows without bound
    warning: OPEN/home/.local/state/uilog/failures.jsonl: failures are remembered in */failures-*.jsonl meanwhile: OPEN/home/.local: it is missing, and the directory above it is not yours alone (glob)
      let HOME or XDG_STATE_HOME name a directory of yours that nobody else can write to
  $ rm $open/repo/.hg/blackbox.log
  $ as_nobody check -R repo
    error: OPEN/repo/.hg/blackbox.log: the blackbox cannot be created: Permission denied
      make the directory .hg writable
    error: OPEN/repo/.hg/.blackbox.log.kept: the blackbox cannot be rotated: Permission denied
      remove it: it is made again when it is needed; meanwhile the log grows without bound
    warning: OPEN/home/.local/state/uilog/failures.jsonl: failures are remembered in */failures-*.jsonl meanwhile: OPEN/home/.local: it is missing, and the directory above it is not yours alone (glob)
      let HOME or XDG_STATE_HOME name a directory of yours that nobody else can write to
  $ rm -r $open
