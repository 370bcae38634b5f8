# What stands at the cursor may be the value of an option that only the program knows: it is asked. All else is static.
_ipvsadm_rs() {
    local line=${COMP_LINE:0:COMP_POINT} word values
    local -a words
    # Bash takes words apart at colons and equals signs; here they are whole.
    read -ra words <<<"${line//[\"\'\\]/}"
    [[ $line != *[[:space:]] ]] || words+=("")
    word=${words[${#words[@]} - 1]}
    COMPREPLY=()
    if values=$("${words[0]/#~\//$HOME/}" __complete -- "${words[@]:1}" 2>/dev/null); then
        # No files where there are no values.
        compopt +o default +o bashdefault +o nospace 2>/dev/null
        # What is replaced is the last part of the word only, so that is what is offered; between quotes it has no parts.
        local before='' option='' value
        if [[ $word == --*=* ]]; then
            [[ $COMP_WORDBREAKS == *=* ]] || option=${word%%=*}=
            word=${word#*=}
        fi
        if [[ $word == *:* && $COMP_WORDBREAKS == *:* && ${line##*[[:space:]]} != [\'\"]* ]]; then
            before=${word%"${word##*:}"} option=''
        fi
        while IFS= read -r value; do
            [[ -z $value || $value != "$word"* ]] || COMPREPLY+=("$option${value#"$before"}")
        done <<<"$values"
        return 0
    fi
    _ipvsadm__rs "$@"
    if [[ $word != -* && ${#words[@]} -gt 2 ]]; then
        # Options are offered once a dash is typed; until then, a file may be meant. Names of operands are none.
        local -a offered=("${COMPREPLY[@]}")
        COMPREPLY=()
        for value in "${offered[@]}"; do
            case $value in -* | '<'* | '['*) ;; *) COMPREPLY+=("$value") ;; esac
        done
        # Commands of ipvsadm take no files but as values, which have been offered.
        if [[ ${#COMPREPLY[@]} = 0 && ${words[1]} == -* ]]; then compopt +o default +o bashdefault 2>/dev/null; fi
    fi
    return 0
}

complete -F _ipvsadm_rs -o bashdefault -o default ipvsadm-rs ipvsadm
