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
        # What is replaced is the last part of the word only, so that is what is offered.
        local before='' value
        if [[ $word == --*=* ]]; then before=${word%%=*}=; fi
        word=${word#"$before"}
        if [[ $COMP_WORDBREAKS == *:* ]]; then before=${word%"${word##*:}"}; else before=''; fi
        while IFS= read -r value; do
            [[ -z $value || $value != "$word"* ]] || COMPREPLY+=("${value#"$before"}")
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
    fi
    return 0
}

complete -F _ipvsadm_rs -o bashdefault -o default ipvsadm-rs ipvsadm
