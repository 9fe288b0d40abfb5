# Completion of uilog for fish. `uilog complete` knows what may follow.

function __uilog_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -q current[1]; or set current ''
    for proposal in (command uilog complete -- $words $current 2>/dev/null)
        switch $proposal
            case :files
                __fish_complete_path (string replace -r '^--.*?=' '' -- $current)
            case :dirs
                __fish_complete_directories (string replace -r '^--.*?=' '' -- $current)
            case :programs
                __fish_complete_command
            case '*'
                printf '%s\n' $proposal
        end
    end
end

complete -c uilog -f -a '(__uilog_complete)'
