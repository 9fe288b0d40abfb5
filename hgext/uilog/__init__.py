# uilog - event logging that a command never notices
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""log hg's events to scripts and to the blackbox, without hg noticing

Mercurial tells its extensions what it does: that a command begins
(``command``) and ends (``commandfinish``), that a hook has run (``exthook``),
that a command failed unexpectedly (``commandexception``), and so on. This
extension runs a script for each such event, as the ``logtoprocess`` extension
does, but never slows down, changes or hangs the command::

  [extensions]
  uilog =

  [logtoprocess]
  commandfinish = /usr/local/bin/record-command

There is no need to enable ``logtoprocess`` as well. If it is, uilog takes its
place: each event runs its script once.

A script is text for ``/bin/sh -c``. It runs in hg's working directory,
detached from hg and its terminal, with standard input and output at
``/dev/null``. What it writes to standard error is shown by :hg:`debuguilog` if
it fails (the last 4 KB, without secrets). It finds in its environment:

``EVENT``
  The event's name.
``MSG1``
  The message, cut at 100,000 bytes.
``OPT_<KEY>``
  Each option of the event, such as ``OPT_RETURN_CODE``, ``OPT_DURATION`` and
  ``OPT_CANONICAL_COMMAND`` for ``commandfinish``. A key that no shell
  variable can be named after is there a second time with ``_`` in place of
  the offending characters.
``HGPID``, ``HG``
  hg's process, and hg's executable.
``UILOG_EVENT_ID``, ``UILOG_SESSION``, ``UILOG_TIME``
  A unique name for the event and for the hg process, and when it happened
  (RFC 3339, with microseconds).
``UILOG_DEPTH``
  How many scripts are around this one, itself included. A script that runs
  hg, whose events run the script, ends at a depth of 5.
``UILOG_TRUNCATED``
  Only if the system's limits made it necessary to cut values: which.

A script that wants everything, uncut, can read it as one line of JSON::

  [logtoprocess]
  commandfinish = record-json
  commandfinish:stdin = json

Scripts start in the order of their events. These settings bound them::

  [uilog]
  # how many scripts of one hg process run at a time
  max-scripts = 8
  # after how many seconds a script is ended (0: never)
  script-timeout = 600
  # how much memory events may take that wait for a script to end
  queue-size = 64 MB
  # for how long an ssh connection that is being closed may say nothing (in
  # seconds) before it is ended (0: for ever)
  peer-timeout = 5
  # how long the end of an ssh connection may take, whatever its server still
  # says (in seconds; 0: without end)
  peer-close-max = 30
  # whether one process per user delivers the records of all its commands to
  # structured sinks, instead of one process for each command
  agent = no

Connections to ssh peers that a command has left open are closed before its
end is logged. For each connection there is an event, ``peerclose``, with the
options ``url``, ``duration``, ``outcome`` (``closed``, ``timeout``, ``cut``,
``killed``, ``interrupted``, ``foreign-fork``), ``leaked`` and ``exit_code``.

With the ``blackbox`` extension, uilog writes ``.hg/blackbox.log``: the same
lines, configured by the same keys, but no line is lost when many processes
rotate the file, and nothing that is in its place can hang hg. See
:hg:`help blackbox` for how to read it::

  [extensions]
  blackbox =

Events go to log daemons and collectors as well, as structured records without
passwords, tokens and commit messages. Each sink has a name and a URL, and says
which events it wants::

  [uilog]
  # a collector of OpenTelemetry: each command is a span
  sink.fleet = otlp:https://collector.example:4318
  sink.fleet:track = commandfinish, commandexception, exthook
  # lines of JSON
  sink.audit = file:~/log/hg-%Y-%m-%d.jsonl
  # the local syslog daemon
  sink.desk = syslog:
  # whoever listens there
  sink.agent = unix:$XDG_RUNTIME_DIR/hg-events.sock

Of a command line, sinks that leave the machine (``otlp:``, ``syslog+tcp:``,
``syslog+tls:``) are told what is known to be harmless: the command, the names
of its options, revisions, numbers and paths. ``<message>``, ``<value>`` and the
like stand for everything else. ``sink.NAME:argv = redacted``, the default of
local sinks, tells all but what looks like a secret.

What a collector does not take waits on disk (``uilog spool``). With such a
sink, ``TRACEPARENT`` in the environment is continued, and hooks and scripts
find the command's own.

Whatever goes wrong with logging has no effect on the command. It is counted,
shown by :hg:`debuguilog`, and at once with ``--debug``: sinks that lead
nowhere, settings and options that do not exist, events of which only a similar
name is known, and scripts that have failed while the command ran.

The program ``uilog`` comes along: ``uilog check`` finds what is wrong with the
configuration, ``uilog status`` shows what runs and what has failed, ``uilog
spool`` what waits for collectors, ``uilog run -- COMMAND`` logs rhg or any
other program, ``uilog emit`` an event of your own.

To switch all of this off, set ``UILOG=off`` in the environment, or say in any
configuration file that hg trusts::

  [uilog]
  enabled = no

Then hg runs as if uilog were not installed, and :hg:`debuguilog` names what has
switched it off. ``logtoprocess`` and ``blackbox``, if they are enabled, do
what they do without uilog. A running :hg:`serve` has to be started anew.
"""

from __future__ import annotations

from mercurial import cmdutil, registrar, ui as uimod
from mercurial.i18n import _

from . import brake

testedwith = b'6.3 6.9 7.0 7.2'
minimumhgversion = b'6.3'

cmdtable: dict = {}
command = registrar.command(cmdtable)

# As hg has it: other extensions may wrap it before it is our turn.
_stocklog = getattr(uimod.ui, 'log', None)


def uisetup(ui):
    if brake.uisetup(ui):
        return
    try:
        from . import extension

        # hg imports modules when something of them is wanted.
        setup = extension.uisetup
    except Exception as err:
        brake.fail(ui, err)
    else:
        setup(ui, _stocklog)


def uipopulate(ui):
    if brake.cause(ui) is not None:
        # It may be the copy of a ui that is not switched off.
        ui._loggers.pop(brake.LOGGER, None)
        return
    from . import extension

    extension.uipopulate(ui)


def reposetup(ui, repo):
    if ui.getlogger(brake.LOGGER) is not None:
        from . import extension

        extension.reposetup(ui, repo)


@command(
    b'debuguilog',
    cmdutil.formatteropts,
    _(b'[-T TEMPLATE]'),
    optionalrepo=True,
)
def debuguilog(ui, repo, **opts):
    """show what uilog does and what it could not do

    Shows the version, which sinks are in use, where each setting comes from,
    the dispatcher (which is started, to see whether that works), and what has
    been lost or has failed: in this process, and, from a journal in the
    user's state directory, in earlier ones. If uilog is switched off, shows by
    what, and nothing else.
    """
    cause = brake.cause(ui)
    if cause is not None:
        return brake.show(ui, opts, cause)
    from . import report

    return report.show(ui, opts)
