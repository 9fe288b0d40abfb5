# uilog - event logging that a command never notices
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""what `hg help uilog.TOPIC` and `hg help uilog.SETTING` show

Made by `make generated` of rust/uilog-cli/help and
rust/uilog-config/items.toml.
"""

from __future__ import annotations

# Names, a title, and the text.
TEXTS = (
    (
        ('scripts',),
        'Scripts that events run',
        r'''
A script is text for ``/bin/sh -c``, set for one event::

  [extensions]
  uilog =

  [logtoprocess]
  commandfinish = /usr/local/bin/record-command

uilog replaces the ``logtoprocess`` extension. If both are enabled, each event
still runs its script once.

A script runs in hg's working directory, detached from hg and its terminal.
Its standard input and output are ``/dev/null``. If it fails, :hg:`debuguilog`
shows the last 4 KB of its standard error, without secrets. These variables
are set in its environment:

``EVENT``
  The event's name.
``MSG1``
  The message, truncated to 100,000 bytes.
``OPT_<KEY>``
  Each option of the event, such as ``OPT_RETURN_CODE``, ``OPT_DURATION`` and
  ``OPT_CANONICAL_COMMAND`` for ``commandfinish``. If a key is not a valid
  variable name, a copy with ``_`` for each invalid character is set as well.
``HGPID``, ``HG``
  The process ID of hg, and the path of its executable.
``UILOG_EVENT_ID``, ``UILOG_SESSION``
  A unique ID of the event, and of the hg process.
``UILOG_TIME``
  The time of the event (RFC 3339, with microseconds).
``UILOG_DEPTH``
  Nesting depth: 1 for a script of a command that you ran, 2 for a script of
  an hg command that such a script ran. Scripts stop running at 5.
``UILOG_TRUNCATED``
  Names of values that were truncated to fit system limits. Not set if none
  was.

A script can read the whole event, with nothing truncated, as one line of
JSON on standard input::

  [logtoprocess]
  commandfinish = record-json
  commandfinish:stdin = json

Scripts start in the order of their events.


How many scripts run at the same time, and for how long, is set in
``[uilog]``: ``max-scripts``, ``script-timeout`` and ``queue-size``.

A script's first program should be a name on the ``PATH`` or an absolute path.
A relative path such as ``./log.sh`` is looked up in the directory in which hg
was called: it only works there, and in a directory of somebody else's it runs
what lies there. ``uilog check`` names such scripts, with file and line.

``uilog check --run commandfinish`` tries the script of an event with a sample
of it, and shows its exit status and output.

Settings
========

``logtoprocess.EVENT``
  the script of an event
``logtoprocess.EVENT:stdin``
  what the script of an event reads
``uilog.max-scripts``
  maximum number of scripts of one hg process that run at the
  same time
``uilog.script-timeout``
  seconds until a script is terminated; 0: never
``uilog.queue-size``
  maximum memory for events that wait for a script

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('events',),
        'Options and events that uilog adds',
        r'''
uilog adds options to some of hg's events:

``commandfinish``
  ``error_type``, ``error`` and ``detailed_exit_code``, if the command failed.
  ``changesets`` and ``files_changed`` of its transactions. ``files_updated``,
  ``files_merged``, ``files_removed`` and ``files_unresolved`` of its updates.
  ``behavior`` of clones, pulls and updates: ``clone-stream``,
  ``pull-nothing`` and the like. ``waited_for_user``: seconds that it waited
  for the user. ``major_faults``, ``blocks_read``, ``blocks_written``,
  ``voluntary_context_switches`` and ``involuntary_context_switches``.
  ``lock_wait``, ``lock_held`` and ``wire_time``: seconds. ``bytes_sent``,
  ``bytes_received``, ``roundtrips`` and ``wire_commands`` of all connections.
``commandexception``
  ``exception_type``, ``exception_message``, ``exception_stacktrace``, and
  ``fingerprint``, which is the same for the same crash on any machine.
``exthook``, ``pythonhook``
  ``hook``, ``hooktype``, ``duration``, ``vetoed``, and ``source``, the line
  that configures the hook. ``exit_code`` or ``signal`` of a program,
  ``result`` or ``exception_type`` and ``exception_message`` of a function.

and logs events that hg does not have:

``hookrefused``
  A hook has refused, or was skipped, and hg has not logged it: ``hook``,
  ``hooktype``, ``reason`` (``untrusted``, ``not-loaded``, ``not-started``,
  ``interrupted``), ``vetoed``, ``source``.
``userwait``
  hg has waited for a person: ``kind`` (``editor``, ``prompt``,
  ``merge-tool``, ``interface``, ``diff-tool``, ``pager``), ``duration``,
  ``outcome``.
``lockwait``
  A command has waited for a repository's lock: ``lock``, ``waited``,
  ``outcome`` (``got``, ``timeout``, ``interrupted``, ``failed``), ``holder``,
  ``holder_host``, ``holder_pid``, ``holder_command``, ``holder_session`` and
  ``holders``.
``lockbroken``
  A lock was removed because its holder had died.
``wirerequest``, ``wirefinish``
  A server begins a request, or has answered it: ``request``,
  ``wire_command``, ``repository``, ``remote_address`` and ``remote_user``; at
  the end also ``duration``, ``outcome``, ``error_type``, ``bytes_sent`` and
  ``bytes_received``.
``session``
  Once per process, only for sinks and scripts that name this event:
  ``hg_version``, ``python_version``, ``uilog_version``, ``modules`` (``rust``,
  ``c``, ``py``),
  ``extensions``, ``container``, ``os_name``, ``os_version``, ``terminal``, and
  what started hg: ``starter`` (``person``, ``ci``, ``editor``, ``agent``) and
  ``starter_name``.

Commands that are killed
========================

If a command is killed, there is no ``commandfinish``. Sinks receive
``commandlost`` instead, with the options ``canonical_command``, ``duration``,
``began``, ``cause`` (``signal`` or ``unknown``) and ``signal``: at once, or
when the next command runs. No script is run for it.

Commands that take long
=======================

With an agent, sinks receive ``commandslow`` while a command runs for longer
than ``slow-command``, with ``canonical_command``, ``running``, ``began``,
``times`` and ``phase``: ``lock`` (with the options of ``lockwait`` that
describe the holder), ``wire`` (``wire_command``, ``url``), ``hook``
(``hook``), ``editor``, ``mergetool``, ``program`` or ``else``.

Settings
========

``uilog.slow-command``
  after how long a command is told that still runs (0: never)

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('peers',),
        'Connections to other repositories',
        r'''
If a command has left connections to ssh peers open, uilog closes them before
it logs the command's end. Each closed connection is logged as an event
``peerclose``, with the options ``url``, ``duration``, ``outcome``
(``closed``, ``timeout``, ``cut``, ``killed``, ``interrupted``,
``foreign-fork``), ``leaked`` and ``exit_code``, and with ``bytes_sent``,
``bytes_received``, ``roundtrips``, ``wire_time``, ``wire_commands``,
``connected``, ``stream``, ``clone_bundle`` and, with ``--debug``,
``opened_at``.

A connection that does not end is killed after ``peer-timeout`` seconds of
silence, and after ``peer-close-max`` seconds in all.

Settings
========

``uilog.peer-timeout``
  seconds a closing ssh connection may stay silent before it is
  killed; 0: no limit
``uilog.peer-close-max``
  seconds that closing an ssh connection may take in all, even
  if the server still sends; 0: no limit

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('blackbox',),
        'The blackbox',
        r'''
If the ``blackbox`` extension is enabled, uilog writes ``.hg/blackbox.log``::

  [extensions]
  blackbox =

The lines and settings are those of the stock extension. In addition, no line
is lost when many processes rotate the file, and no file, pipe or directory in
its place can hang hg. :hg:`help blackbox` describes how to read the log.

``uilog log`` searches the history of all your commands; ``hg blackbox`` shows
the log of one repository.

Settings
========

``blackbox.track``
  the events that are logged
``blackbox.ignore``
  events that '*' does not include
``blackbox.maxsize``
  size at which the file is rotated before the next line; 0:
  never
``blackbox.maxfiles``
  maximum number of log files, including the current one
``blackbox.dirty``
  mark lines with + if the working directory has changes
``blackbox.logsource``
  write the event's name into each line
``blackbox.date-format``
  format of dates
``blackbox.debug.to-stderr``
  print each line to standard error as well

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('sinks',),
        'Destinations for records',
        r'''
uilog can also send events as structured records to log daemons and
collectors. Passwords, tokens and commit messages are removed first. Each
destination is called a sink; it has a name, a URL, and a list of the events
that it receives::

  [uilog]
  # an OpenTelemetry collector: each command is a span
  sink.fleet = otlp:https://collector.example:4318
  sink.fleet:track = commandfinish, commandlost, commandexception, exthook
  # a file of JSON lines
  sink.audit = file:~/log/hg-%Y-%m-%d.jsonl
  # the local syslog daemon
  sink.desk = syslog:
  # a program that listens at a local socket
  sink.agent = unix:$XDG_RUNTIME_DIR/hg-events.sock

URLs
====

``file:PATH``
  A file of JSON lines. The path may have strftime directives. ``maxsize`` and
  ``maxfiles`` rotate it.
``unix:PATH``, ``unix-dgram:PATH``
  A program that listens at a local socket; JSON lines.
``syslog:``, ``syslog:PATH``
  The local syslog daemon, at ``/dev/log`` or at another socket.
``syslog+tcp://HOST:PORT``, ``syslog+tls://HOST:PORT``
  A syslog daemon on another machine; default ports 514 and 6514.
``otlp:https://HOST:PORT``
  An OpenTelemetry collector, by HTTP. Undelivered records are queued on disk.
``otlp:``
  The collector that the variables ``OTEL_*`` name, or
  ``http://localhost:4318``.

Paths must be absolute after ``~`` and ``$NAME`` have been expanded.

The history
===========

With ``history = yes``, uilog keeps the records of your own commands on this
machine, and ``uilog log``, ``uilog trace`` and ``uilog report`` show them. No
sink is needed for it.

To try a sink, run ``uilog check --connect NAME``.

Settings
========

``uilog.sink.NAME``
  the URL of a sink
``uilog.history``
  whether a history of your commands is kept on this machine,
  for 'uilog log'
``uilog.history-max-size``
  how large the history may be; the oldest go first
``uilog.history-max-age``
  for how long something stays in the history
``uilog.sink.NAME:track``
  the events that the sink receives
``uilog.sink.NAME:ignore``
  events that '*' does not include
``uilog.sink.NAME:timeout``
  seconds to wait for a receiver that does not answer
``uilog.sink.NAME:owner``
  user, by name or number, who may own the local socket besides
  root and hg's user
``uilog.sink.NAME:maxsize``
  size at which the file is rotated before the next line; 0:
  never
``uilog.sink.NAME:maxfiles``
  maximum number of log files, including the current one
``uilog.sink.NAME:facility``
  syslog facility
``uilog.sink.NAME:format``
  format of messages: rfc5424 (RFC 5424), or local (as the C
  library sends them to the local daemon)
``uilog.sink.NAME:ca-file``
  trusted certificates (PEM), instead of the system's
``uilog.sink.NAME:cert-file``
  client certificate (PEM)
``uilog.sink.NAME:key-file``
  private key (PEM) of the client certificate
``uilog.sink.NAME:environment``
  use the variables OTEL_*; the default is yes for 'otlp:'
  without a URL
``uilog.sink.NAME:headers``
  additional HTTP headers, as in OTEL_EXPORTER_OTLP_HEADERS:
  NAME=VALUE,NAME=VALUE
``uilog.sink.NAME:token-file``
  file with a bearer token, read for each request
``uilog.sink.NAME:compression``
  compression of requests
``uilog.sink.NAME:resource``
  additional resource attributes, as in
  OTEL_RESOURCE_ATTRIBUTES: KEY=VALUE,KEY=VALUE
``uilog.sink.NAME:wait-statuses``
  HTTP statuses after which records wait and are retried,
  although OTLP says to drop them

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('privacy',),
        'What sinks are not told',
        r'''
Sinks that send to other machines (``otlp:``, ``syslog+tcp:``,
``syslog+tls:``) receive only the parts of a command line that are known to be
harmless: the command, the names of its options, revisions, numbers and paths.
Everything else is replaced by ``<message>``, ``<value>`` and the like. With
``sink.NAME:argv = redacted``, the default of local sinks, a sink receives
everything except what looks like a secret.

Secrets
=======

uilog redacts messages, command lines and the values of options: passwords in
URLs, tokens, private keys, and the texts of ``-m``. Each secret is replaced by
the name of the rule that found it. Scripts and the blackbox get what stock hg
gives them, unredacted.

``redact-config`` names configuration items of your own whose values are
secret.

How much is sent
================

``sink.NAME:argv`` sets how much of a command line a sink receives: ``none``,
``canonical``, ``structure``, ``redacted`` or ``full``. Without a value that
can be understood, the sink receives nothing.

Names of users
==============

With ``sink.NAME:user = hash``, user names are replaced by a hash, for which
``sink.NAME:user-key-file`` has the key::

  [uilog]
  sink.fleet = otlp:https://collector.example:4318
  sink.fleet:user = hash
  sink.fleet:user-key-file = /etc/mercurial/uilog.key

Settings
========

``uilog.redact-config``
  additional configuration items whose values are redacted, as
  globs over SECTION.NAME
``uilog.sink.NAME:redact``
  remove secrets
``uilog.sink.NAME:argv``
  how much of a command line the sink receives
``uilog.sink.NAME:user``
  whether user names are sent as they are or as a keyed hash
``uilog.sink.NAME:user-key-file``
  file with the key for user = hash, 16 bytes or more

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('fleet',),
        'Many users and machines',
        r'''
A few lines in a system-wide hgrc send the events of all users and CI jobs to a
collector::

  [extensions]
  uilog =

  [uilog]
  sink.fleet = otlp:https://collector.example:4318
  sink.fleet:track = commandfinish, commandlost, commandexception, exthook
  sink.fleet:token-file = ~/.config/uilog/token

The agent
=========

One process per user, the agent, delivers the records of all of the user's
commands. hg starts it when there is a record, and it exits after
``agent-idle`` seconds without one. With ``agent = no``, each command has a
process of its own for that. ``uilog status`` shows what is running.

Records that wait
=================

Undelivered records of ``otlp:`` sinks are queued on disk, in the directory
``spool``; ``uilog spool`` shows them, and ``uilog flush`` delivers them before
a machine goes away. In a container, ``deliver-before-exit`` makes a command
wait for its records.

Fewer records
=============

``sink.NAME:sample = 0.1`` keeps a tenth of all traces, and
``sink.NAME:sample-failures = always`` all failures.

Unless ``agent = no``, ``sink.NAME:rollup = status, identify`` sends one record
a minute for all runs of these commands: how many there were, how many failed
and how long they took.

Traces
======

With any sink, a ``TRACEPARENT`` in hg's environment becomes the parent of the
command's span, and hooks and scripts inherit the command's own
``TRACEPARENT``.

Settings
========

``uilog.agent``
  yes: one agent process per user delivers records to sinks; no:
  one process per hg command
``uilog.agent-idle``
  seconds without a record until the agent exits
``uilog.agent-queues-size``
  maximum memory for records of all the user's commands that
  wait for the agent
``uilog.queue-dir``
  directory, on a local file system, for records that wait for
  the agent; by default, or if it cannot be used,
  $XDG_RUNTIME_DIR
``uilog.deliver-before-exit``
  seconds a command may wait at its end until its records are
  delivered; auto: 1 if a collector is configured and a
  container ends with the command; no: it never waits
``uilog.spool``
  directory for records that wait for a collector; default:
  $XDG_STATE_HOME/uilog/spool
``uilog.spool-max-size``
  maximum size of the records that wait for one collector; the
  oldest are dropped first
``uilog.spool-max-age``
  maximum age of records that wait for a collector
``uilog.sink.NAME:sample``
  fraction of traces to keep
``uilog.sink.NAME:sample-failures``
  whether records of failures are kept even if their trace is
  not
``uilog.sink.NAME:rollup``
  commands that the agent sums up in one record a minute,
  instead of one record per run

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('failures',),
        'What has failed or was lost',
        r'''
A failure of logging never affects the command. It is counted, and
:hg:`debuguilog` shows it: sinks that cannot be reached, settings and options
that do not exist, misspelled events, and scripts that failed while the
command ran. With ``--debug``, a command shows its own logging failures at
once.

The program ``uilog`` is installed with this extension:

- ``uilog check`` finds what is wrong with the configuration.
- ``uilog status`` shows what is running and what has failed.
- ``uilog spool`` shows the records that wait for collectors.
- ``uilog run -- COMMAND`` logs rhg or any other program.
- ``uilog emit`` logs a custom event.
''',
    ),
    (
        ('off',),
        'Switching uilog off',
        r'''
To switch all of uilog off, set ``UILOG=off`` in the environment, or this
setting in a configuration file that hg trusts::

  [uilog]
  enabled = no

Then hg runs as if uilog were not installed, and :hg:`debuguilog` shows what
has switched it off. If ``logtoprocess`` or ``blackbox`` is enabled, the stock
extension does its work again. Restart a running :hg:`serve` for the change to
take effect.

Settings
========

``uilog.enabled``
  no switches uilog off, like UILOG=off in the environment

:hg:`help uilog.SETTING` describes one of them.
''',
    ),
    (
        ('sink',),
        'uilog.sink.NAME',
        r'''
The URL of a destination for records: ``file:PATH``,
``unix:PATH``, ``unix-dgram:PATH``, ``syslog:``,
``syslog:PATH``, ``syslog+tcp://HOST:PORT``,
``syslog+tls://HOST:PORT``, ``otlp:URL`` or ``otlp:``.

:Type: a text
:Default: none
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg-%Y-%m-%d.jsonl
''',
    ),
    (
        ('enabled',),
        'uilog.enabled',
        r'''
``no`` switches uilog off, as ``UILOG=off`` in the environment
does ("Switching uilog off" in docs/configuration.md).

:Type: a boolean
:Default: ``yes``
:Topic: off
:Since: uilog 0.1.0

For example::

  [uilog]
  enabled = no
''',
    ),
    (
        ('max-scripts',),
        'uilog.max-scripts',
        r'''
Maximum number of scripts of one hg process that run at the
same time, 1 to 1024.

:Type: a number from 1 to 1024
:Unit: scripts
:Default: ``8``
:Topic: scripts
:Since: uilog 0.1.0

For example::

  [uilog]
  max-scripts = 2
''',
    ),
    (
        ('script-timeout',),
        'uilog.script-timeout',
        r'''
Seconds until a script's process group gets SIGTERM, and 5
seconds later SIGKILL; ``0``: never; fractions are allowed.

:Type: a number of seconds
:Unit: seconds
:Default: ``600``
:Topic: scripts
:Since: uilog 0.1.0

For example::

  [uilog]
  script-timeout = 30
''',
    ),
    (
        ('queue-size',),
        'uilog.queue-size',
        r'''
Maximum memory for events that wait for a script, 1 MB or
more.

:Type: a size of 1 MB or more
:Unit: bytes, or with kB, MB or GB
:Default: ``64 MB``
:Topic: scripts
:Since: uilog 0.1.0

For example::

  [uilog]
  queue-size = 16 MB
''',
    ),
    (
        ('peer-timeout',),
        'uilog.peer-timeout',
        r'''
Seconds a closing ssh connection may stay silent before its
processes get SIGTERM, and half a second later SIGKILL; ``0``:
no limit, as in stock hg; fractions are allowed.

:Type: a number of seconds
:Unit: seconds
:Default: ``5``
:Topic: peers
:Since: uilog 0.1.0

For example::

  [uilog]
  peer-timeout = 2
''',
    ),
    (
        ('peer-close-max',),
        'uilog.peer-close-max',
        r'''
Seconds that closing an ssh connection may take in all. Then
the rest of the server's output is discarded, and the
processes get the same signals; ``0``: no limit, as in stock
hg.

:Type: a number of seconds
:Unit: seconds
:Default: ``30``
:Topic: peers
:Since: uilog 0.1.0

For example::

  [uilog]
  peer-close-max = 10
''',
    ),
    (
        ('agent',),
        'uilog.agent',
        r'''
One process per user, the agent, delivers the records of all
of the user's commands to sinks, including those that a killed
command has left; with ``no``: one process per hg process.

:Type: a boolean
:Default: ``yes``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  agent = no
''',
    ),
    (
        ('agent-idle',),
        'uilog.agent-idle',
        r'''
Seconds without a record until the agent exits.

:Type: a number of seconds
:Unit: seconds
:Default: ``10``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  agent-idle = 60
''',
    ),
    (
        ('slow-command',),
        'uilog.slow-command',
        r'''
Seconds until the agent logs ``commandslow`` for a command
that still runs, with what it waits for; again at 2, 4 and 8
times as many; ``0``: never.

:Type: a number of seconds
:Unit: seconds
:Default: ``60``
:Topic: events
:Since: uilog 0.1.0

For example::

  [uilog]
  slow-command = 300
''',
    ),
    (
        ('agent-queues-size',),
        'uilog.agent-queues-size',
        r'''
Maximum memory for records of all the user's commands that
wait for the agent, 1 MB or more; a command that finds no room
delivers by a process of its own.

:Type: a size of 1 MB or more
:Unit: bytes, or with kB, MB or GB
:Default: ``256 MB``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  agent-queues-size = 64 MB
''',
    ),
    (
        ('queue-dir',),
        'uilog.queue-dir',
        r'''
Directory on a local file system for records that wait for the
agent, as an absolute path; by default, or if it cannot be
used, the user's runtime directory.

:Type: a text
:Default: the user's runtime directory
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  queue-dir = /var/tmp
''',
    ),
    (
        ('deliver-before-exit',),
        'uilog.deliver-before-exit',
        r'''
Seconds a command may wait at its end until its records are
delivered; ``no`` or ``0``: it never waits; ``auto``: 1
second, if a collector is configured and a container ends with
the command.

:Type: 'auto', 'no' or a number of seconds
:Unit: seconds
:Default: ``auto``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  deliver-before-exit = 5
''',
    ),
    (
        ('spool',),
        'uilog.spool',
        r'''
Directory for records that wait; each sink has a subdirectory.
It is not used if other users can write to it.

:Type: a text
:Default: ``$XDG_STATE_HOME/uilog/spool``, or
  ``~/.local/state/uilog/spool``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  spool = /var/spool/uilog
''',
    ),
    (
        ('spool-max-size',),
        'uilog.spool-max-size',
        r'''
Maximum size of the records that wait for one collector; the
oldest are dropped first, and counted. An eighth of that size
is kept for rejected records.

:Type: a size of 1 MB or more
:Unit: bytes, or with kB, MB or GB
:Default: ``64 MB``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  spool-max-size = 256 MB
''',
    ),
    (
        ('spool-max-age',),
        'uilog.spool-max-age',
        r'''
Maximum age of records that wait: a number with a unit, ``s``,
``m``, ``h`` or ``d``, or ``seconds`` to ``days`` in words. A
value without a unit is invalid.

:Type: a time with a unit, such as '7 days'
:Unit: with s, m, h or d, or in words
:Default: ``7 days``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  spool-max-age = 2 days
''',
    ),
    (
        ('history',),
        'uilog.history',
        r'''
Keep a history of your commands on this machine, which ``uilog
log`` shows.

:Type: a boolean
:Default: ``no``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  history = yes
''',
    ),
    (
        ('history-max-size',),
        'uilog.history-max-size',
        r'''
Maximum size of the history; the oldest records are removed
first.

:Type: a size of 1 MB or more
:Unit: bytes, or with kB, MB or GB
:Default: ``256 MB``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  history-max-size = 64 MB
''',
    ),
    (
        ('history-max-age',),
        'uilog.history-max-age',
        r'''
Maximum age of records in the history, in whole days; a number
with a unit, as for ``spool-max-age``.

:Type: a time with a unit, such as '7 days'
:Unit: with s, m, h or d, or in words
:Default: ``90 days``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  history-max-age = 30 days
''',
    ),
    (
        ('redact-config',),
        'uilog.redact-config',
        r'''
Additional configuration items whose values are redacted when
a command line sets them: globs over ``SECTION.NAME``, where
``*`` matches any text and ``?`` any byte.

:Type: a list
:Default: none
:Topic: privacy
:Since: uilog 0.1.0

For example::

  [uilog]
  redact-config = corp.*, deploy.password
''',
    ),
    (
        (':track', 'track'),
        'uilog.sink.NAME:track',
        r'''
The events that the sink receives; ``*``: all events that
``:ignore`` does not name, including ``commandlost``. A sink
that tracks ``commandfinish`` but not ``commandlost`` does not
learn about killed commands.

:Type: a list
:Default: ``*``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:track = commandfinish, commandlost, commandexception, exthook
''',
    ),
    (
        (':ignore', 'ignore'),
        'uilog.sink.NAME:ignore',
        r'''
Events that ``*`` does not include.

:Type: a list
:Default: ``chgserver, cmdserver, extension, session``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:ignore = session, extension
''',
    ),
    (
        (':redact', 'redact'),
        'uilog.sink.NAME:redact',
        r'''
Remove secrets from messages, options and command lines. With
``no``, ``:argv`` still applies if it is set to ``none``,
``canonical`` or ``structure``, but ``redacted`` means
``full``; and ``:user = hash`` hashes who ran the command, but
not names in texts.

:Type: a boolean
:Default: ``yes``
:Topic: privacy
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:redact = no
''',
    ),
    (
        (':argv', 'argv'),
        'uilog.sink.NAME:argv',
        r'''
How much of a command line the sink receives, in ``message``
and in ``process.command_line``: ``none``; ``canonical`` (full
names of the command and its options, no values);
``structure`` (as ``canonical``, and values that are known to
be harmless; for other programs, their name and number of
arguments; docs/privacy.md describes its effect on other
fields); ``redacted`` (everything except secrets and the texts
of ``-m``); ``full`` (everything, including secrets). The name
of the command, without arguments, is always sent.

:Type: one of 'none', 'canonical', 'structure', 'redacted', 'full'
:Default: ``structure`` for sinks that leave the machine (all but
  ``file:``, ``unix:``, ``unix-dgram:`` and ``syslog:``),
  ``redacted`` for the others
:Topic: privacy
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:argv = canonical
''',
    ),
    (
        (':user', 'user'),
        'uilog.sink.NAME:user',
        r'''
With ``hash``, user names are replaced by ``<user:HASH>``, and
``process.uid`` is not sent.

:Type: one of 'plain', 'hash'
:Default: ``plain``
:Topic: privacy
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:user = hash
''',
    ),
    (
        (':user-key-file', 'user-key-file'),
        'uilog.sink.NAME:user-key-file',
        r'''
File with the key for ``:user = hash``: at least 16 bytes, not
counting newlines at the end. ``~`` and variables are
expanded; the path must then be absolute. Users who run hg
must be able to read it. So they can find out, by trying
names, which hash belongs to whom.

:Type: a text
:Default: none
:Topic: privacy
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:user-key-file = /etc/mercurial/uilog.key
''',
    ),
    (
        (':sample', 'sample'),
        'uilog.sink.NAME:sample',
        r'''
Fraction of all traces that is kept, from 0 to 1. A command,
its hooks and the commands that these run are kept or dropped
together, by the trace ID. ``sample_rate`` in the record says
how to count ("Sampling" in docs/schema.md).

:Type: a number from 0 to 1
:Default: ``1``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:sample = 0.1
''',
    ),
    (
        (':sample-failures', 'sample-failures'),
        'uilog.sink.NAME:sample-failures',
        r'''
With ``always``, failures are kept even if their trace is not:
``commandexception``, ``commandlost``, and ``commandfinish``
with a signal or an exit status other than 0, except a 1 that
means that nothing was found or to be done.

:Type: one of 'sampled', 'always'
:Default: ``sampled``
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:sample-failures = always
''',
    ),
    (
        (':rollup', 'rollup'),
        'uilog.sink.NAME:rollup',
        r'''
Commands by their full names (``*``: all). Instead of one
``commandfinish`` per run, the agent sends one record a minute
with the number of runs, the number of failures, and a
histogram of durations. Failures are also sent as records of
their own. Requires ``uilog.agent = yes``; without an agent,
each run has its record, and ``uilog check`` says so. See
"Rollups" in docs/schema.md.

:Type: a list
:Default: none
:Topic: fleet
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:rollup = status, identify
''',
    ),
    (
        (':timeout', 'timeout'),
        'uilog.sink.NAME:timeout',
        r'''
Seconds to wait for a receiver that does not answer.
``syslog:`` and ``unix:``: at most 5 for one batch, and ``0``
means 5 as well; ``otlp:``: ``0`` means an hour.

:Type: a number of seconds
:Unit: seconds
:Default: ``10``
:Sinks: ``syslog:``, ``unix:``, ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:timeout = 5
''',
    ),
    (
        (':owner', 'owner'),
        'uilog.sink.NAME:owner',
        r'''
User, by name or number, who may own the local socket besides
root and you.

:Type: a text
:Default: none
:Sinks: ``syslog:``, ``unix:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = syslog:
  sink.audit:owner = collector
''',
    ),
    (
        (':maxsize', 'maxsize'),
        'uilog.sink.NAME:maxsize',
        r'''
Size at which the file is rotated before the next line; ``0``:
never.

:Type: a size
:Unit: bytes, or with kB, MB or GB
:Default: ``0``
:Sinks: ``file:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:maxsize = 10 MB
''',
    ),
    (
        (':maxfiles', 'maxfiles'),
        'uilog.sink.NAME:maxfiles',
        r'''
Maximum number of files: the current one and up to six old
ones (``.1`` is the newest); ``1`` or ``0``: no old files, a
full file is removed.

:Type: a number from 0 to 1000000
:Unit: files
:Default: ``7``
:Sinks: ``file:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = file:~/log/hg.jsonl
  sink.audit:maxfiles = 3
''',
    ),
    (
        (':facility', 'facility'),
        'uilog.sink.NAME:facility',
        r'''
``kern``, ``user``, ``mail``, ``daemon``, ``auth``,
``syslog``, ``lpr``, ``news``, ``uucp``, ``cron``,
``authpriv``, ``ftp``, ``local0`` to ``local7``.

:Type: a text
:Default: ``user``
:Sinks: ``syslog:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = syslog:
  sink.audit:facility = local3
''',
    ),
    (
        (':format', 'format'),
        'uilog.sink.NAME:format',
        r'''
Format of messages: ``rfc5424``, or ``local`` (as the C
library writes to the local daemon).

:Type: one of 'rfc5424', 'local'
:Default: ``rfc5424``
:Sinks: ``syslog:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = syslog:
  sink.audit:format = local
''',
    ),
    (
        (':ca-file', 'ca-file'),
        'uilog.sink.NAME:ca-file',
        r'''
TLS: trusted certificates (PEM), instead of the system's; for
``syslog+tls:``, or the daemon's own certificate
(docs/otlp.md, "TLS").

:Type: a text
:Default: the system's
:Sinks: ``syslog:``, ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:ca-file = /etc/ssl/corp.pem
''',
    ),
    (
        (':cert-file', 'cert-file'),
        'uilog.sink.NAME:cert-file',
        r'''
TLS: client certificate (PEM).

:Type: a text
:Default: none
:Sinks: ``syslog:``, ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:cert-file = ~/.config/uilog/client.pem
''',
    ),
    (
        (':key-file', 'key-file'),
        'uilog.sink.NAME:key-file',
        r'''
TLS: private key (PEM) of the client certificate.

:Type: a text
:Default: none
:Sinks: ``syslog:``, ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:key-file = ~/.config/uilog/client.key
''',
    ),
    (
        (':environment', 'environment'),
        'uilog.sink.NAME:environment',
        r'''
Whether the environment variables of OpenTelemetry are used.

:Type: a boolean
:Default: ``yes`` for ``otlp:`` without a URL, else ``no``
:Sinks: ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:environment = yes
''',
    ),
    (
        (':headers', 'headers'),
        'uilog.sink.NAME:headers',
        r'''
Additional HTTP headers: ``NAME=VALUE,NAME=VALUE``, values in
percent encoding.

:Type: a text
:Default: none
:Sinks: ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:headers = X-Tenant=build
''',
    ),
    (
        (':token-file', 'token-file'),
        'uilog.sink.NAME:token-file',
        r'''
File with a bearer token, read for each request.

:Type: a text
:Default: none
:Sinks: ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:token-file = ~/.config/uilog/token
''',
    ),
    (
        (':compression', 'compression'),
        'uilog.sink.NAME:compression',
        r'''
Compression of requests: ``gzip`` or ``none``.

:Type: one of 'gzip', 'none'
:Default: ``gzip``
:Sinks: ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:compression = none
''',
    ),
    (
        (':resource', 'resource'),
        'uilog.sink.NAME:resource',
        r'''
Additional resource attributes: ``KEY=VALUE,KEY=VALUE``.

:Type: a text
:Default: none
:Sinks: ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:resource = team=build,site=zurich
''',
    ),
    (
        (':wait-statuses', 'wait-statuses'),
        'uilog.sink.NAME:wait-statuses',
        r'''
HTTP statuses after which records wait and are retried,
although OTLP says to drop them (docs/otlp.md).

:Type: a list
:Default: ``401 402 403 404 405 407 408 410 411 415 421 425 426 451
  511``
:Sinks: ``otlp:``
:Topic: sinks
:Since: uilog 0.1.0

For example::

  [uilog]
  sink.audit = otlp:https://collector.example:4318
  sink.audit:wait-statuses = 401 403 404
''',
    ),
)
