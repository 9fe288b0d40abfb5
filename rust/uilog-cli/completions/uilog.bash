# Completion of uilog for bash. `uilog complete` knows what may follow.

_uilog() {
    local line=${COMP_LINE:0:COMP_POINT} current proposal prefix
    local -a words
    # Not COMP_WORDS, which bash divides at : and =.
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    current=${words[${#words[@]} - 1]}
    # bash replaces what follows the last of these.
    prefix=${current%"${current##*[:=]}"}
    COMPREPLY=()
    while IFS= read -r proposal; do
        case $proposal in
        :files | :dirs | :programs)
            current=${current#--*=}
            local action=file
            [[ $proposal == :dirs ]] && action=directory
            [[ $proposal == :programs ]] && action=command
            while IFS= read -r proposal; do
                COMPREPLY+=("$proposal")
            done < <(compgen -A "$action" -- "$current")
            compopt -o filenames 2>/dev/null
            ;;
        *)
            proposal=${proposal%%$'\t'*}
            COMPREPLY+=("${proposal#"$prefix"}")
            ;;
        esac
    done < <(command uilog complete -- "${words[@]}" 2>/dev/null)
}

complete -F _uilog uilog
