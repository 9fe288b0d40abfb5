Structured sinks: what `[uilog] sink.NAME` names is told of events.

  $ . "$TESTDIR/helpers/setup.sh"
  $ cat >> $HGRCPATH << END
  > [uilog]
  > sink.audit = file:$TESTTMP/audit-%Y.jsonl
  > END
  $ hg init repo
  $ cd repo
  $ settled
  $ rm -f $TESTTMP/audit-*.jsonl

  $ records() {
  >     "$PYTHON" "$helpers/records.py" $TESTTMP/audit-*.jsonl "$@"
  > }
  $ forget() {
  >     settled
  >     rm -f $TESTTMP/audit-*.jsonl
  > }

A file with a line for each event
=================================

  $ echo a > a
  $ hg commit -qAm 'a secret'
  $ settled
  $ ls -l $TESTTMP/audit-20*.jsonl | cut -c 1-10
  -rw-------
  $ records event process.command process.exit_code | grep command
  command - -
  commandfinish commit 0
  $ records event process.command_line repository.name | grep commandfinish
  commandfinish commit -qAm <redacted:message> repo
  $ while read -r line; do
  >     echo "$line" | "$PYTHON" -m json.tool > /dev/null || echo "$line"
  > done < `echo $TESTTMP/audit-*.jsonl`

Each record has an id of its own, and what the command has used is at its end.

  $ records id | sort | uniq -d
  $ records event usage.peak_memory_bytes | grep '^commandfinish'
  commandfinish [1-9][0-9]* (re)
  $ forget

Which events
============

  $ hg root --config uilog.sink.audit:track=commandfinish
  $TESTTMP/repo
  $ settled
  $ records event
  commandfinish
  $ forget
  $ hg root --config 'uilog.sink.audit:track=*' \
  >     --config 'uilog.sink.audit:ignore=command, uiblocked'
  $TESTTMP/repo
  $ settled
  $ records event | grep -c -x -e command -e uiblocked
  0
  [1]
  $ records event | grep commandfinish
  commandfinish
  $ forget

From here on, only of commands' ends.

  $ cat >> $HGRCPATH << END
  > sink.audit:track = commandfinish
  > END

What is told of a command line
==============================

Secrets are not; the file holds none of this one.

  $ hg root --config auth.x.password=geheim > $TESTTMP/out
  $ settled
  $ records process.command_line
  root --config 'auth.x.password=<redacted:config-value>'
  $ cat $TESTTMP/audit-*.jsonl | grep -c geheim
  0
  [1]
  $ forget
  $ for argv in none canonical full; do
  >     hg root --config auth.x.password=geheim > $TESTTMP/out \
  >         --config uilog.sink.audit:argv=$argv
  >     settled
  >     records process.command_line
  >     forget
  > done
  <redacted:argv>
  root --config=<redacted:argument>
  root --config 'auth.x.password=geheim' --config 'uilog.sink.audit:argv=full'

Sinks that leave the machine are told what is known to be harmless, of aliases,
hooks, tracebacks and URLs as well.

  $ cat > leaks.py << END
  > from mercurial import registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > @command(b'leak', [(b't', b'token', b'', b'')])
  > def leak(ui, repo, *words, **opts):
  >     raise RuntimeError('geheim')
  > END
  $ cat > structure.rc << END
  > [extensions]
  > leaks = $PWD/leaks.py
  > [alias]
  > ship = tag --local -m 'geheim'
  > call = !true geheim
  > [hooks]
  > pretag.ask = true --password geheim
  > [uilog]
  > sink.audit:argv = structure
  > sink.audit:track = command, commandfinish, commandalias, commandexception, exthook
  > END
  $ plain=$HGRCPATH
  $ HGRCPATH=$plain:$PWD/structure.rc
  $ hg ship 1.0 -u 'geheim <me@x.example>' --config ui.editor=geheim
  $ hg call geheim
  $ hg leak -t geheim geheim 2> $TESTTMP/errors
  [1]
  $ hg log -r tip -T 'geheim\n' --remo -- a
  geheim
  $ hg identify ssh://geheim:geheim@host.example:1/geheim -e false \
  >     2> $TESTTMP/errors
  [255]
  $ HGRCPATH=$plain
  $ settled

The random name of this test's directory may look like a key.

  $ records message | grep -v '^\*\* \|^  File .*mercurial' |
  >     sed 's/after .* seconds/after N seconds/; s/in 0.* sec/in N sec/
  >          s#File ".*leaks.py"#File "<file>"#'
  ship <value> -u <value> --config=ui.editor=<value>
  alias 'ship' expands to 'tag --local --message=<message>'
  exthook-pretag.ask: true <arguments:2> finished in N seconds
  ship <value> -u <value> --config=ui.editor=<value> exited 0 after N seconds
  alias 'call' expands to '!true <arguments:1>'
  call <value> exited 0 after N seconds
  leak -t <value> <value>
  Traceback (most recent call last):
    File "<file>", line 6, in leak
  RuntimeError: <message>
  leak -t <value> <value> exited 1 after N seconds
  log --rev=tip --template=<template> --removed -- a
  log --rev=tip --template=<template> --removed -- a exited 0 after N seconds
  identify <url:ssh:host.example> --ssh=false
  identify <url:ssh:host.example> --ssh=false exited 255 after N seconds
  $ cat $TESTTMP/audit-*.jsonl | grep -c geheim
  0
  [1]
  $ forget

Users
=====

  $ hg root > $TESTTMP/out
  $ settled
  $ records process.user process.uid
  [^<]+ [0-9]+ (re)
  $ forget
  $ hg root --config uilog.sink.audit:user=hash > $TESTTMP/out
  $ settled
  $ records process.user
  $ uilog status -T json > $TESTTMP/status
  [1]
  $ "$PYTHON" -c 'import json, sys
  > for failure in json.load(sys.stdin)["journal"]["failures"]:
  >     print(failure["detail"])' < $TESTTMP/status
  *sink.audit*'hash' needs a key: uilog.sink.audit:user-key-file is not set* (glob)
  $ rm $TESTTMP/.local/state/uilog/failures.jsonl
  $ echo 0123456789abcdef > $TESTTMP/key
  $ hg root --config uilog.sink.audit:user=hash > $TESTTMP/out \
  >     --config uilog.sink.audit:user-key-file=$TESTTMP/key
  $ settled
  $ records process.user process.uid
  <user:[0-9a-f]{16}> - (re)
  $ forget

A part of all traces
====================

  $ hg root --config uilog.sink.audit:sample=0 > $TESTTMP/out
  $ hg cat none --config uilog.sink.audit:sample=0 2> $TESTTMP/out
  [1]
  $ hg update none --config uilog.sink.audit:sample=0 2> $TESTTMP/out \
  >     --config uilog.sink.audit:sample-failures=always
  [10]
  $ hg root > $TESTTMP/out --config uilog.sink.audit:sample=0 \
  >     --config uilog.sink.audit:sample-failures=always
  $ settled
  $ records process.command sample_rate
  update 1.0
  $ forget

Traces
======

What is in the environment is continued, and told to hooks and scripts, whose
own hg is a part of the hook or the command.

  $ cat > $TESTTMP/trace.py << 'END'
  > import json, sys
  > names = {}
  > def name(kind, value):
  >     if value is None:
  >         return '-'
  >     known = names.setdefault(kind, {})
  >     return known.setdefault(value, '%s%d' % (kind, len(known) + 1))
  > def command(record):
  >     return record['process'].get('command') or record['event']
  > # Each command has a dispatcher of its own, so there is no order.
  > for it in sorted(map(json.loads, open(sys.argv[1])), key=command):
  >     print(command(it),
  >           name('trace', it.get('trace_id')),
  >           'in', name('span', it.get('parent_span_id')),
  >           'is', name('span', it.get('span_id')))
  > END
  $ trace() {
  >     "$PYTHON" $TESTTMP/trace.py $TESTTMP/audit-*.jsonl
  > }
  $ parent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
  $ TRACEPARENT=$parent hg root > $TESTTMP/out \
  >     --config 'hooks.pre-root=echo $TRACEPARENT > $got/hook; hg branch' \
  >     --config 'uilog.sink.audit:track=commandfinish, exthook'
  $ settled
  $ records process.command trace_id parent_span_id | sort
  - 0af7651916cd43dd8448eb211c80319c [0-9a-f]{16} (re)
  branch 0af7651916cd43dd8448eb211c80319c [0-9a-f]{16} (re)
  root 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331
  $ trace
  branch trace1 in span1 is span2
  exthook trace1 in span3 is span1
  root trace1 in span4 is span3
  $ cut -d- -f3 $got/hook > $TESTTMP/span
  $ records span_id | grep -c -f $TESTTMP/span
  1
  $ forget

A script, too; each command of its own is a trace of its own.

  $ hg root > $TESTTMP/out \
  >     --config 'logtoprocess.command=test $UILOG_DEPTH != 1 || hg branch'
  $ hg root > $TESTTMP/out
  $ settled
  $ trace
  branch trace1 in span* is span* (glob)
  root trace* in - is span* (glob)
  root trace* in - is span* (glob)
  $ trace | cut -d' ' -f2 | sort | uniq -c | sort -n | sed 's/ *\([0-9]\).*/\1/'
  1
  2
  $ forget

Without structured sinks the environment stays as it is.

  $ TRACEPARENT=$parent hg root --config uilog.sink.audit= > $TESTTMP/out \
  >     --config 'hooks.pre-root=echo $TRACEPARENT'
  $ cat $TESTTMP/out
  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
  $TESTTMP/repo

A server's commands are spans of one session.

  $ "$PYTHON" - << 'END' > $TESTTMP/requests
  > import struct, sys
  > for args in (b'root', b'branch'):
  >     sys.stdout.buffer.write(
  >         b'runcommand\n' + struct.pack('>I', len(args)) + args)
  > END
  $ hg serve --cmdserver pipe < $TESTTMP/requests > $TESTTMP/out
  $ settled
  $ records process.command process.exit_code | grep -v serve
  root 0
  branch 0
  $ trace | grep -v serve | cut -d' ' -f6 | sort -u | wc -l | tr -d ' '
  2
  $ records session | sort -u | wc -l | tr -d ' '
  1
  $ forget

A command that is aborted before it has said what it is, is a span all the
same. One that does not exist is none: hg itself logs nothing.

  $ hg -R nowhere root 2> $TESTTMP/out
  [255]
  $ hg nosuchcommand 2> $TESTTMP/out
  [10]
  $ settled
  $ records event process.command_line process.exit_code
  commandfinish -R nowhere root 255
  $ records trace_id span_id
  [0-9a-f]{32} [0-9a-f]{16} (re)
  $ forget

Events from elsewhere
=====================

  $ uilog emit -v backup 'it is done' --opt return_code=0 \
  >     --config 'uilog.sink.audit:track=*' --config 'uilog.sink.more=file:/dev/null/x' \
  >     --config uilog.sink.more:track=other
  backup: sink.audit
  $ settled
  $ records event message options.return_code
  backup it is done 0
  $ forget
  $ uilog run -- sh -c 'exit 3'
  [3]
  $ settled
  $ records event process.exit_code
  commandfinish 3
  $ forget

Numbers
=======

Whoever logs, the records of a sink share their numbers. What is missing is
counted as docs/fleet.md says.

  $ rm -r $TESTTMP/.local/state/uilog/numbers
  $ hg root > $TESTTMP/out
  $ settled
  $ uilog run -- true
  $ settled
  $ uilog emit -v commandfinish 'it is done'
  commandfinish: sink.audit
  $ settled
  $ records process.program sink.name sink.number
  - audit 1
  true audit 2
  uilog audit 3
  $ sed -n '/^cat audit/,/^```/p' "$TESTDIR/../docs/fleet.md" |
  >     grep -v '^```' > $TESTTMP/missing
  $ missing() {
  >     (cd $TESTTMP; sh ./missing)
  > }
  $ missing
  audit [0-9a-f]{16} 0 (re)

What cannot be delivered is missing, what is left out is not.

  $ file=`echo $TESTTMP/audit-*.jsonl`
  $ mv $file $TESTTMP/kept
  $ mkdir $file
  $ hg root > $TESTTMP/out
  $ settled
  $ rmdir $file
  $ mv $TESTTMP/kept $file
  $ hg root --config uilog.sink.audit:sample=0 > $TESTTMP/out
  $ hg root --config uilog.sink.audit:track=other > $TESTTMP/out
  $ hg root > $TESTTMP/out
  $ settled
  $ records sink.number
  1
  2
  3
  5
  $ missing
  audit [0-9a-f]{16} 1 (re)
  $ rm $TESTTMP/.local/state/uilog/failures.jsonl

Without a place for numbers records arrive all the same, and that is told once.

  $ forget
  $ rm -r $TESTTMP/.local/state/uilog/numbers
  $ echo > $TESTTMP/.local/state/uilog/numbers
  $ for n in 1 2; do
  >     hg root > $TESTTMP/out
  >     settled
  > done
  $ records event sink.number
  commandfinish -
  commandfinish -
  $ uilog status -T json > $TESTTMP/status
  [1]
  $ "$PYTHON" -c 'import json, sys
  > for it in json.load(sys.stdin)["journal"]["failures"]:
  >     print(it["kind"], it["lost"], it["detail"])' < $TESTTMP/status
  sink 0 uilog.sink.audit: its records have no numbers, so losses cannot be noticed: cannot use $TESTTMP/.local/state/uilog/numbers: it is not a directory
  $ uilog check | grep -c 'its records have no numbers: cannot use'
  1
  $ rm $TESTTMP/.local/state/uilog/numbers
  $ rm $TESTTMP/.local/state/uilog/failures.jsonl
  $ forget

What hg itself says
===================

  $ hg debuguilog | sed -n '/^sinks/,/^settings/p'
  sinks: sink.audit
    uilog.sink.audit = file:$TESTTMP/audit-%Y.jsonl (*) (glob)
  settings:
  $ hg debuguilog -T json --config uilog.sink.c=otlp:http://u:geheim@localhost \
  >     > $TESTTMP/state
  $ "$PYTHON" -c 'import json, sys
  > (state,) = json.load(sys.stdin)
  > for it in state["urls"]:
  >     print(it["name"], it["url"])
  > print(sorted(it for it in state["dispatcher"][0] if "record" in it))
  > ' < $TESTTMP/state
  sink.audit file:$TESTTMP/audit-%Y.jsonl
  sink.c otlp:http://...@localhost
  ['records', 'recordslost']
  $ settled

A sink that fails stops neither hg nor its neighbours
=====================================================

  $ forget
  $ hg root --config uilog.sink.bad=file:/dev/null/x \
  >     --config uilog.sink.worse=nonsense:x
  $TESTTMP/repo
  $ settled
  $ records event
  commandfinish
  $ uilog status -T json > $TESTTMP/status
  [1]
  $ "$PYTHON" -c 'import json, sys
  > journal = json.load(sys.stdin)["journal"]
  > print(sorted({it["detail"].split(":")[0] for it in journal["failures"]
  >     if it["lost"]}))' < $TESTTMP/status
  ['uilog.sink.bad', 'uilog.sink.worse']
