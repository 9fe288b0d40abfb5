#compdef uilog
# Completion of uilog for zsh. `uilog complete` knows what may follow.

_uilog() {
    local proposal value
    local -a values shown
    for proposal in "${(@f)$(command uilog complete -- \
        "${(@)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
        case $proposal in
        '') ;;
        :files)
            compset -P '--*='
            _files
            return
            ;;
        :dirs)
            compset -P '--*='
            _files -/
            return
            ;;
        :programs)
            _command_names -e
            return
            ;;
        *)
            value=${proposal%%$'\t'*}
            values+=("$value")
            if [[ $proposal == *$'\t'* ]]; then
                shown+=("$value  -- ${proposal#*$'\t'}")
            else
                shown+=("$value")
            fi
            ;;
        esac
    done
    (( $#values )) && compadd -l -d shown -a values
}

if [[ $funcstack[1] == _uilog ]]; then
    _uilog "$@"
else
    compdef _uilog uilog
fi
