# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_uilog_global_optspecs
    string join \n h/help V/version
end

function __fish_uilog_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_uilog_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_uilog_using_subcommand
    set -l cmd (__fish_uilog_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c uilog -n "__fish_uilog_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_needs_command" -s V -l version -d 'Print version'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "agent" -d 'Show or stop the agent'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "check" -d 'Find what is wrong with the configuration'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "doctor" -d 'Find what is wrong with the configuration'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "config" -d 'Show the combined configuration, as `hg config` does'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "dispatch" -d 'Run scripts and deliver records for one hg process (internal)'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "emit" -d 'Log a custom event'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "export" -d 'Export records for other programs: OpenTelemetry\'s JSON, or CSV'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "run" -d 'Run a program and log it as hg logs its commands'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "flush" -d 'Deliver all waiting events and records, before a machine or container ends'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "history" -d 'Show where the history of commands is, or delete it'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "journal" -d 'Show or acknowledge losses and failures'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "log" -d 'Show the commands that were run, newest last'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "open" -d 'Show the commands that have begun and have not ended, on this machine'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "report" -d 'Show what was slow, what failed and why, and what was waited for'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "spool" -d 'Show, send or export records that wait for a collector'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "status" -d 'Show dispatchers, queues, losses and failures'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "trace" -d 'Show one trace as a tree: which spans contain which, and what took the time'
complete -c uilog -n "__fish_uilog_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and not __fish_seen_subcommand_from serve status stop help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and not __fish_seen_subcommand_from serve status stop help" -f -a "serve" -d 'Run the agent (internal)'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and not __fish_seen_subcommand_from serve status stop help" -f -a "status" -d 'Show running agents, and the queues of records'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and not __fish_seen_subcommand_from serve status stop help" -f -a "stop" -d 'Stop the agent'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and not __fish_seen_subcommand_from serve status stop help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from status" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from status" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Run the agent (internal)'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show running agents, and the queues of records'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop the agent'
complete -c uilog -n "__fish_uilog_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand check" -l run -d 'Try the script and the sinks of this event, with a sample of it' -r -f -a "backupbundle\t''
branchcache\t''
chgserver\t''
cmdserver\t''
command\t''
commandalias\t''
commandexception\t''
commandfinish\t''
commandlost\t''
commandslow\t''
debug\t''
develwarn\t''
discovery\t''
extension\t''
exthook\t''
filestore_packsizes\t''
fsmonitor\t''
histedit\t''
hookrefused\t''
incoming\t''
linkrevfixup\t''
lockbroken\t''
lockwait\t''
peerclose\t''
profile\t''
pythonhook\t''
rebase\t''
remotefilefetchlog\t''
remotefilelog\t''
repocache\t''
session\t''
tagscache\t''
uiblocked\t''
userwait\t''
watchman\t''
wirefinish\t''
wirerequest\t''"
complete -c uilog -n "__fish_uilog_using_subcommand check" -l connect -d 'Try to reach each sink, or this one, without running a script' -r
complete -c uilog -n "__fish_uilog_using_subcommand check" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand check" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand check" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand check" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand check" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand check" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -l run -d 'Try the script and the sinks of this event, with a sample of it' -r -f -a "backupbundle\t''
branchcache\t''
chgserver\t''
cmdserver\t''
command\t''
commandalias\t''
commandexception\t''
commandfinish\t''
commandlost\t''
commandslow\t''
debug\t''
develwarn\t''
discovery\t''
extension\t''
exthook\t''
filestore_packsizes\t''
fsmonitor\t''
histedit\t''
hookrefused\t''
incoming\t''
linkrevfixup\t''
lockbroken\t''
lockwait\t''
peerclose\t''
profile\t''
pythonhook\t''
rebase\t''
remotefilefetchlog\t''
remotefilelog\t''
repocache\t''
session\t''
tagscache\t''
uiblocked\t''
userwait\t''
watchman\t''
wirefinish\t''
wirerequest\t''"
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -l connect -d 'Try to reach each sink, or this one, without running a script' -r
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand config" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand config" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand config" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand config" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand config" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand config" -l source -d 'Show the file and line of each item'
complete -c uilog -n "__fish_uilog_using_subcommand config" -s u -l untrusted -d 'Include items from untrusted files'
complete -c uilog -n "__fish_uilog_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand dispatch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand emit" -l opt -d 'An option of the event; scripts get it as the variable OPT_KEY' -r
complete -c uilog -n "__fish_uilog_using_subcommand emit" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand emit" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand emit" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand emit" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand emit" -s v -l verbose -d 'Show which sinks have received the event'
complete -c uilog -n "__fish_uilog_using_subcommand emit" -l require-sink -d 'Fail if no sink tracks the event'
complete -c uilog -n "__fish_uilog_using_subcommand emit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand export" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand export" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand export" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand export" -l since -d 'Only records from this date on: 7d, 2h, yesterday, \'last week\', 2026-11-30 or any date of `hg help dates`' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l until -d 'Only records up to this date, including the whole day, hour or minute' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l command -d 'Only commands that match, by their full name or as they were typed, with or without global options: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l repo -d 'Only in repositories whose name or root matches: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l user -d 'Only commands of users that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l host -d 'Only on machines whose name matches' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l hg-version -d 'Only with versions of Mercurial that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l hook -d 'Only with hooks that match; shows ends of hooks unless --event is given' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l slower -d 'Only records with at least this duration' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l error-type -d 'Only errors whose class matches: hg\'s name (HookAbort), else \'exit N\', \'signal N\' or \'killed\'' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l trace -d 'Only the trace whose id begins with this' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l session -d 'Only the hg process whose id begins with this' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -l event -d 'These events instead of the ends of commands; \'*\' means all' -r -f -a "backupbundle\t''
branchcache\t''
chgserver\t''
cmdserver\t''
command\t''
commandalias\t''
commandexception\t''
commandfinish\t''
commandlost\t''
commandslow\t''
debug\t''
develwarn\t''
discovery\t''
extension\t''
exthook\t''
filestore_packsizes\t''
fsmonitor\t''
histedit\t''
hookrefused\t''
incoming\t''
linkrevfixup\t''
lockbroken\t''
lockwait\t''
peerclose\t''
profile\t''
pythonhook\t''
rebase\t''
remotefilefetchlog\t''
remotefilelog\t''
repocache\t''
session\t''
tagscache\t''
uiblocked\t''
userwait\t''
watchman\t''
wirefinish\t''
wirerequest\t''"
complete -c uilog -n "__fish_uilog_using_subcommand export" -l format -d 'The format' -r -f -a "otlp-json\t'Spans and log records in OTLP\'s JSON, a request a line'
csv\t'Comma-separated values, a record a line'"
complete -c uilog -n "__fish_uilog_using_subcommand export" -l columns -d 'Columns of the CSV, instead of all' -r
complete -c uilog -n "__fish_uilog_using_subcommand export" -s o -l output -d 'A new file; default: standard output. An existing file is never overwritten' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand export" -l failed -d 'Only failures'
complete -c uilog -n "__fish_uilog_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand run" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand run" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand run" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand run" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand run" -l install-hint -d 'Print how to install `uilog run -- rhg` as `hg`'
complete -c uilog -n "__fish_uilog_using_subcommand run" -s h -l help -d 'Print help'
complete -c uilog -n "__fish_uilog_using_subcommand flush" -l wait -d 'Time limit in seconds' -r
complete -c uilog -n "__fish_uilog_using_subcommand flush" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand flush" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand flush" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand flush" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand flush" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand flush" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand flush" -l all -d 'Include commands with another HOME, and commands in other containers that share the queue directories'
complete -c uilog -n "__fish_uilog_using_subcommand flush" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand history; and not __fish_seen_subcommand_from path delete help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand history; and not __fish_seen_subcommand_from path delete help" -f -a "path" -d 'Print the directory of the history, even if it does not exist'
complete -c uilog -n "__fish_uilog_using_subcommand history; and not __fish_seen_subcommand_from path delete help" -f -a "delete" -d 'Delete the history of this user on this machine'
complete -c uilog -n "__fish_uilog_using_subcommand history; and not __fish_seen_subcommand_from path delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand history; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c uilog -n "__fish_uilog_using_subcommand history; and __fish_seen_subcommand_from delete" -l before -d 'Only the days before this date: 30d, \'last week\', 2026-11-30 or any date of `hg help dates`' -r
complete -c uilog -n "__fish_uilog_using_subcommand history; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand history; and __fish_seen_subcommand_from help" -f -a "path" -d 'Print the directory of the history, even if it does not exist'
complete -c uilog -n "__fish_uilog_using_subcommand history; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete the history of this user on this machine'
complete -c uilog -n "__fish_uilog_using_subcommand history; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand journal; and not __fish_seen_subcommand_from forget help" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand journal; and not __fish_seen_subcommand_from forget help" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand journal; and not __fish_seen_subcommand_from forget help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand journal; and not __fish_seen_subcommand_from forget help" -f -a "forget" -d 'Acknowledge all failures so far'
complete -c uilog -n "__fish_uilog_using_subcommand journal; and not __fish_seen_subcommand_from forget help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand journal; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand journal; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Acknowledge all failures so far'
complete -c uilog -n "__fish_uilog_using_subcommand journal; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand log" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand log" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand log" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand log" -l since -d 'Only records from this date on: 7d, 2h, yesterday, \'last week\', 2026-11-30 or any date of `hg help dates`' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l until -d 'Only records up to this date, including the whole day, hour or minute' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l command -d 'Only commands that match, by their full name or as they were typed, with or without global options: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l repo -d 'Only in repositories whose name or root matches: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l user -d 'Only commands of users that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l host -d 'Only on machines whose name matches' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l hg-version -d 'Only with versions of Mercurial that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l hook -d 'Only with hooks that match; shows ends of hooks unless --event is given' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l slower -d 'Only records with at least this duration' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l error-type -d 'Only errors whose class matches: hg\'s name (HookAbort), else \'exit N\', \'signal N\' or \'killed\'' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l trace -d 'Only the trace whose id begins with this' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l session -d 'Only the hg process whose id begins with this' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l event -d 'These events instead of the ends of commands; \'*\' means all' -r -f -a "backupbundle\t''
branchcache\t''
chgserver\t''
cmdserver\t''
command\t''
commandalias\t''
commandexception\t''
commandfinish\t''
commandlost\t''
commandslow\t''
debug\t''
develwarn\t''
discovery\t''
extension\t''
exthook\t''
filestore_packsizes\t''
fsmonitor\t''
histedit\t''
hookrefused\t''
incoming\t''
linkrevfixup\t''
lockbroken\t''
lockwait\t''
peerclose\t''
profile\t''
pythonhook\t''
rebase\t''
remotefilefetchlog\t''
remotefilelog\t''
repocache\t''
session\t''
tagscache\t''
uiblocked\t''
userwait\t''
watchman\t''
wirefinish\t''
wirerequest\t''"
complete -c uilog -n "__fish_uilog_using_subcommand log" -s n -l limit -d 'Maximum number of lines; 0: all. Default: ten, twenty groups, and all with -T' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l sort -d 'Sort by this column and show the highest, the highest last, instead of the newest' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l columns -d 'Columns to show' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -s T -l template -d 'Output format: json, csv, or a template such as \'{when} {command}\\n\'' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l by -d 'Group the statistics by this: command, repo, user, host, hg-version, hook, error-type, event, exit, ci, hour, day, week, month, or any column' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l of -d 'The statistics are of this column: duration, lock-wait, user-wait, peak-memory, cpu, bytes-sent, bytes-received, ...' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l compare -d 'Show what has become slower, or fails more often, from A to B: two dates, two versions of Mercurial, two machines, or two files' -r
complete -c uilog -n "__fish_uilog_using_subcommand log" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand log" -l failed -d 'Only failures'
complete -c uilog -n "__fish_uilog_using_subcommand log" -s f -l follow -d 'Continue with new records as they are logged, until Ctrl-C; with -T json, each is a line'
complete -c uilog -n "__fish_uilog_using_subcommand log" -l stats -d 'Show statistics of all commands instead: count, failures, total, percentiles, maximum, and the number over time'
complete -c uilog -n "__fish_uilog_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand open" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand open" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand open" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand open" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand open" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand open" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand open" -s f -l follow -d 'Update the terminal until q, Ctrl-C or SIGTERM'
complete -c uilog -n "__fish_uilog_using_subcommand open" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand report" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand report" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand report" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand report" -l since -d 'The period begins at this date: 7d, 2h, yesterday, \'last week\', 2026-11-30 or any date of `hg help dates`' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l until -d 'It ends with this date; without it, now' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l repo -d 'Only in repositories whose name or root matches: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l user -d 'Only commands of users that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l host -d 'Only on machines whose name matches' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l hg-version -d 'Only with versions of Mercurial that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l only -d 'Show only these sections' -r -f -a "overview\t'The figures, and those of the period before'
changes\t'What has changed for certain since the period before'
slow\t'Commands by their time, and the slowest ones'
failures\t'What failed, and why'
hooks\t'Hooks, and which refused'
locks\t'Waits for locks, and who held them'
waits\t'What users waited for, and waits for people'
versions\t'Versions of Mercurial, and what each has changed'"
complete -c uilog -n "__fish_uilog_using_subcommand report" -s n -l rows -d 'How many rows a table has; 0: all that there are, at most 100' -r
complete -c uilog -n "__fish_uilog_using_subcommand report" -l html -d 'Write all sections into this file, for a browser: it has pictures and a filter, and loads nothing. Only you can read it' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand report" -l for-support -d 'Write an archive to attach to a report of a fault: versions, settings, what `uilog check` finds, the last commands, losses. It has no paths and no names of users, machines and repositories. Shows all that is in it, and asks before it writes' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand report" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand report" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand report" -s y -l yes -d 'With --for-support, write without a question'
complete -c uilog -n "__fish_uilog_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -f -a "flush" -d 'Send waiting records now'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -f -a "export" -d 'Export waiting or rejected records to files'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -f -a "forget" -d 'Acknowledge rejected, evicted and damaged records'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -f -a "requeue" -d 'Send rejected records again'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and not __fish_seen_subcommand_from flush export forget requeue help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from flush" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -l format -d 'Format of the output' -r -f -a "jsonl\t'Records, as `file:` writes them'
otlp\t'OTLP\'s JSON, as the Collector\'s file exporter writes it'"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -s o -l output -d 'A new file, or a directory for --format otlp; default: standard output' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -l rejected -d 'Export rejected records instead of waiting ones'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from forget" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from forget" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from forget" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from forget" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from forget" -l rejected -d 'Also remove rejected records'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from requeue" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from requeue" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from requeue" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from requeue" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from requeue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from help" -f -a "flush" -d 'Send waiting records now'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from help" -f -a "export" -d 'Export waiting or rejected records to files'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Acknowledge rejected, evicted and damaged records'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from help" -f -a "requeue" -d 'Send rejected records again'
complete -c uilog -n "__fish_uilog_using_subcommand spool; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand status" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand status" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand trace" -s R -l repository -d 'The repository: its root directory, or a name from the section paths' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l cwd -d 'Change the working directory first' -r -f -a "(__fish_complete_directories)"
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l config -d 'Set a configuration item; it overrides all files' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l config-file -d 'Read this configuration file too; it overrides the others' -r -F
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l since -d 'Only records from this date on: 7d, 2h, yesterday, \'last week\', 2026-11-30 or any date of `hg help dates`' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l until -d 'Only records up to this date, including the whole day, hour or minute' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l command -d 'Only commands that match, by their full name or as they were typed, with or without global options: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l repo -d 'Only in repositories whose name or root matches: * matches any text, ? any byte' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l user -d 'Only commands of users that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l host -d 'Only on machines whose name matches' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l hg-version -d 'Only with versions of Mercurial that match' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l hook -d 'Only with hooks that match; shows ends of hooks unless --event is given' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l slower -d 'Only records with at least this duration' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l error-type -d 'Only errors whose class matches: hg\'s name (HookAbort), else \'exit N\', \'signal N\' or \'killed\'' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l trace -d 'Only the trace whose id begins with this' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l session -d 'Only the hg process whose id begins with this' -r
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l event -d 'These events instead of the ends of commands; \'*\' means all' -r -f -a "backupbundle\t''
branchcache\t''
chgserver\t''
cmdserver\t''
command\t''
commandalias\t''
commandexception\t''
commandfinish\t''
commandlost\t''
commandslow\t''
debug\t''
develwarn\t''
discovery\t''
extension\t''
exthook\t''
filestore_packsizes\t''
fsmonitor\t''
histedit\t''
hookrefused\t''
incoming\t''
linkrevfixup\t''
lockbroken\t''
lockwait\t''
peerclose\t''
profile\t''
pythonhook\t''
rebase\t''
remotefilefetchlog\t''
remotefilelog\t''
repocache\t''
session\t''
tagscache\t''
uiblocked\t''
userwait\t''
watchman\t''
wirefinish\t''
wirerequest\t''"
complete -c uilog -n "__fish_uilog_using_subcommand trace" -s T -l template -d 'Output format for scripts' -r -f -a "json\t'One JSON object or list'"
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l color -d 'When to use colours; auto also means never if NO_COLOR is set' -r -f -a "auto\t'If standard output is a terminal'
always\t'Even in a pipe or a file'
never\t'Never'"
complete -c uilog -n "__fish_uilog_using_subcommand trace" -l failed -d 'Only failures'
complete -c uilog -n "__fish_uilog_using_subcommand trace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "agent" -d 'Show or stop the agent'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "check" -d 'Find what is wrong with the configuration'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "config" -d 'Show the combined configuration, as `hg config` does'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "dispatch" -d 'Run scripts and deliver records for one hg process (internal)'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "emit" -d 'Log a custom event'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "export" -d 'Export records for other programs: OpenTelemetry\'s JSON, or CSV'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "run" -d 'Run a program and log it as hg logs its commands'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "flush" -d 'Deliver all waiting events and records, before a machine or container ends'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "history" -d 'Show where the history of commands is, or delete it'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "journal" -d 'Show or acknowledge losses and failures'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "log" -d 'Show the commands that were run, newest last'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "open" -d 'Show the commands that have begun and have not ended, on this machine'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "report" -d 'Show what was slow, what failed and why, and what was waited for'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "spool" -d 'Show, send or export records that wait for a collector'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "status" -d 'Show dispatchers, queues, losses and failures'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "trace" -d 'Show one trace as a tree: which spans contain which, and what took the time'
complete -c uilog -n "__fish_uilog_using_subcommand help; and not __fish_seen_subcommand_from agent check config dispatch emit export run flush history journal log open report spool status trace help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "serve" -d 'Run the agent (internal)'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "status" -d 'Show running agents, and the queues of records'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "stop" -d 'Stop the agent'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from history" -f -a "path" -d 'Print the directory of the history, even if it does not exist'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from history" -f -a "delete" -d 'Delete the history of this user on this machine'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from journal" -f -a "forget" -d 'Acknowledge all failures so far'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from spool" -f -a "flush" -d 'Send waiting records now'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from spool" -f -a "export" -d 'Export waiting or rejected records to files'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from spool" -f -a "forget" -d 'Acknowledge rejected, evicted and damaged records'
complete -c uilog -n "__fish_uilog_using_subcommand help; and __fish_seen_subcommand_from spool" -f -a "requeue" -d 'Send rejected records again'
