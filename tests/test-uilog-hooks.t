Every function of Mercurial that the extension wraps, touched once: this file
runs under each Mercurial, the others under the newest only (tests/README.md).

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat > $TESTTMP/touching.py << 'END'
  > import os, time
  > from mercurial import dispatch, registrar, util
  > try:
  >     # hg 7.2 has moved it
  >     from mercurial.main_script import request
  > except ImportError:
  >     request = dispatch.request
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'masked', [], norepo=True)
  > def masked(ui):
  >     util.setumask(0o27)
  >     ui.log(b'masked', b'a new umask\n')
  > @command(b'nested', [], norepo=True)
  > def nested(ui):
  >     ui.flush()
  >     dispatch.dispatch(request([b'root'], ui=ui.copy()))
  > @command(b'hold', [])
  > def hold(ui, repo):
  >     with repo.wlock():
  >         open('held', 'w').close()
  >         while not os.path.exists('go'):
  >             time.sleep(0.01)
  > END
  $ cat >> $HGRCPATH << END
  > blackbox =
  > touching = $TESTTMP/touching.py
  > [logtoprocess]
  > command = echo "\$UILOG_TIME begins: \$(printf %s "\$MSG1" | head -n 1)" >> $got/order
  > commandfinish = echo "\$UILOG_TIME ends: \$OPT_CANONICAL_COMMAND \$OPT_RETURN_CODE" >> $got/order
  > masked = echo "\$UILOG_TIME \`umask\`" >> $got/order
  > lockbroken = echo "\$UILOG_TIME broken: \$OPT_LOCK" >> $got/order
  > lockwait = echo "\$UILOG_TIME waited: \$OPT_LOCK \$OPT_OUTCOME" >> $got/order
  > peerclose = echo "\$UILOG_TIME peer: \$OPT_OUTCOME \$OPT_LEAKED \$((OPT_BYTES_SENT > 0)) \$((OPT_BYTES_RECEIVED > 0)) \$((OPT_ROUNDTRIPS > 1)) \$(echo "\$OPT_WIRE_COMMANDS" | grep -c -e hello=1: -e capabilities=1:)" >> $got/order
  > wirefinish = test "\$OPT_WIRE_COMMAND" != lookup || echo "\$UILOG_TIME request: \$OPT_WIRE_COMMAND \$OPT_OUTCOME \$((OPT_BYTES_SENT > 0))" >> $got/order
  > [uilog]
  > max-scripts = 1
  > END

order: what has happened, whichever process's scripts were faster.

  $ order() {
  >     settled
  >     LC_ALL=C sort $got/order | cut -d ' ' -f 2-
  >     rm $got/order
  > }

ui.log, and what surrounds a command

  $ hg init repo
  $ order
  begins: init repo
  ends: init 0
  $ cd repo
  $ echo a > a
  $ hg commit -qAm a
  $ hg root -R nowhere
  abort: repository nowhere not found
  [255]
  $ order
  begins: commit -qAm a
  ends: commit 0
  ends: root 255

util.setumask, and dispatch.dispatch within a command

  $ hg masked
  $ hg nested
  $TESTTMP/repo
  $ order
  begins: masked
  0027
  ends: masked 0
  begins: nested
  begins: root
  ends: root 0
  ends: nested 0

The functions that open, close and finalize a connection

  $ hg id ssh://user@dummy/$TESTTMP/repo
  cb9a9f314b8b
  $ hg summary --remote -q --config paths.default=ssh://user@dummy/$TESTTMP/repo
  parent: 0:cb9a9f314b8b tip
  $ hg serve -d -p 0 --pid-file=$TESTTMP/hg.pid --config logtoprocess.command= \
  >     --config logtoprocess.commandfinish= > $TESTTMP/serving
  $ cat $TESTTMP/hg.pid >> $DAEMON_PIDS
  $ port=$(sed 's|.*bound to .*:\([0-9]*\)).*|\1|' $TESTTMP/serving)
  $ hg id http://localhost:$port/
  cb9a9f314b8b
  $ kill $(cat $TESTTMP/hg.pid)
  $ order
  begins: id 'ssh://user@dummy/$TESTTMP/repo'
  begins: -R $TESTTMP/repo serve --stdio
  request: lookup ok 1
  ends: serve 0
  peer: closed 0 1 1 1 1
  ends: identify 0
  begins: summary --remote -q --config 'paths.default=ssh://user@dummy/$TESTTMP/repo'
  begins: -R $TESTTMP/repo serve --stdio
  ends: serve 0
  peer: closed 1 1 1 1 1
  ends: summary 0
  begins: id 'http://localhost:*/' (glob)
  request: lookup ok 1
  peer: closed 0 1 1 1 1
  ends: identify 0

The blackbox, the configuration that changes under it, and Mercurial's other
log files

  $ hg status --config blackbox.track=commandfinish
  $ hg log -r nothing
  abort: unknown revision 'nothing'
  [10]
  $ hg blackbox -l 4 | sed 's/.*)> //'
  status --config 'blackbox.track=commandfinish' exited 0 after * seconds (glob)
  log -r nothing
  log -r nothing exited 10 after * seconds (glob)
  blackbox -l 4
  $ hg blackbox --failed -l 1 | sed 's/.*)> //'
  1 more (-l 0 shows all)
  log -r nothing exited 10 after * seconds (glob)
  $ printf 'runcommand\n\0\0\0\4root' |
  >     hg serve --cmdserver pipe --config cmdserver.log=$TESTTMP/server.log \
  >         --config cmdserver.track-log=command > /dev/null
  $ sed 's/.*)> //' $TESTTMP/server.log
  root
  $ order > /dev/null

A lock that another process holds, and one whose holder was killed

  $ hg hold &
  $ wait_for test -e held
  $ echo b >> a
  $ hg commit -m b --config ui.timeout.warn=0 2> $TESTTMP/waiting &
  $ waiting=$!
  $ wait_lines 1 $TESTTMP/waiting
  $ touch go
  $ wait $waiting
  $ rm held go
  $ hg hold &
  $ holder=$!
  $ wait_for test -e held
  $ kill -KILL $holder
  $ wait $holder 2> /dev/null
  [137]
  $ rm held
  $ echo c >> a
  $ hg commit -m c
  $ order > $TESTTMP/ordered
  $ grep -E '^(waited|broken)' $TESTTMP/ordered
  waited: wlock got
  broken: wlock

Why a command has failed, what its hooks said, what it has done, and what it
waited for that a person does. One process: scripts in the order of events.

  $ cat >> $HGRCPATH << 'END'
  > [logtoprocess]
  > command =
  > masked =
  > peerclose =
  > commandfinish = echo "$UILOG_TIME $OPT_CANONICAL_COMMAND $OPT_RETURN_CODE ${OPT_DETAILED_EXIT_CODE:-.} ${OPT_CHANGESETS:-.} ${OPT_FILES_CHANGED:-.} ${OPT_FILES_UPDATED:-.} ${OPT_FILES_UNRESOLVED:-.} ${OPT_BEHAVIOR:-.} ${OPT_WAITED_FOR_USER:+waited} $OPT_ERROR_TYPE: $OPT_ERROR" | paste -sd ' ' >> $got/order
  > commandexception = echo "$UILOG_TIME exception $OPT_EXCEPTION_TYPE $OPT_EXCEPTION_MESSAGE ${#OPT_FINGERPRINT}" >> $got/order
  > exthook = echo "$UILOG_TIME exthook $OPT_HOOK $OPT_HOOKTYPE $OPT_EXIT_CODE $OPT_SIGNAL $OPT_VETOED $OPT_SOURCE" >> $got/order
  > pythonhook = echo "$UILOG_TIME pythonhook $OPT_HOOK $OPT_RESULT $OPT_EXCEPTION_TYPE $OPT_VETOED" >> $got/order
  > hookrefused = echo "$UILOG_TIME hookrefused $OPT_HOOK $OPT_REASON $OPT_VETOED" >> $got/order
  > userwait = echo "$UILOG_TIME userwait $OPT_KIND $OPT_OUTCOME" >> $got/order
  > END
  $ cat > $TESTTMP/judging.py << 'END'
  > def refuses(ui, **kwargs):
  >     return True
  > def breaks(ui, **kwargs):
  >     raise RuntimeError('broken')
  > END
  $ hg root -R nowhere
  abort: repository nowhere not found
  [255]
  $ hg update -q nowhere
  abort: unknown revision 'nowhere'
  [10]
  $ echo b > a
  $ hg commit -m b --config hooks.precommit.no='exit 3'
  abort: precommit.no hook exited with status 3
  [40]
  $ hg commit -m b --config hooks.precommit.no="python:$TESTTMP/judging.py:refuses"
  abort: precommit.no hook failed
  [40]
  $ hg commit -m b --config hooks.precommit.no="python:$TESTTMP/judging.py:breaks" > /dev/null 2>&1
  [1]
  $ hg commit -m b --config hooks.precommit.no=python:no_such_module.f
  abort: precommit.no hook is invalid: import of "no_such_module" failed
  (run with --traceback for stack trace)
  [255]
  $ HGEDITOR='echo c >' hg commit --config hooks.commit.soft='exit 1'
  warning: commit.soft hook exited with status 1
  $ hg update -q 0
  $ echo c > a
  $ hg commit -qm c
  $ hg merge -q -t :fail
  [1]
  $ hg update -qC 0
  $ cd ..
  $ hg clone -q --pull repo pulled
  $ cd pulled
  $ hg pull -q
  $ cd ../repo
  $ order
  root 255 255 . . . . .  RepoError: repository nowhere not found
  update 10 10 . . . . .  *Error: unknown revision 'nowhere' (glob)
  exthook precommit.no precommit 3  1 --config
  commit 40 40 . . . . .  HookAbort: precommit.no hook exited with status 3
  pythonhook precommit.no 1  1
  commit 40 40 . . . . .  HookAbort: precommit.no hook failed
  pythonhook precommit.no  RuntimeError 1
  exception RuntimeError broken 16
  commit 1 1 . . . . .  RuntimeError: broken
  hookrefused precommit.no not-loaded 1
  commit 255 255 . . . . .  HookLoadError: precommit.no hook is invalid: import of "no_such_module" failed (run with --traceback for stack trace)
  userwait editor done
  exthook commit.soft commit 1  0 --config
  commit 0 . 1 1 . . . waited : 
  update 0 . . . 1 0 update-some  : 
  commit 0 . 1 1 . . .  : 
  merge 1 1 . . 0 1 .  : 
  update 0 . . . 1 0 update-some  : 
  clone 0 . 5 1 1 0 clone-full  : 
  pull 0 . . . . . pull-nothing  : 

Nothing was lost

  $ hg debuguilog | grep -E '^  (lost|fault)' | grep -v ': 0$'
  [1]
