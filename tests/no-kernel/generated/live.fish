# Values that only the program knows: it is asked, with the line up to the cursor.
function __fish_ipvsadm_rs_live
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -a words "$current"
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    $program __complete -- $words[2..-1] 2>/dev/null
end

# The words behind the program's name and --netns, which can stand before all else.
function __fish_ipvsadm_rs_words
    set -l words (commandline -opc)
    set -e words[1]
    while string match -q -- '--netns*' "$words[1]"
        test "$words[1]" = --netns; and set -e words[1]
        set -e words[1]
    end
    string join \n -- $words
end

# Whether nothing has been said yet.
function __fish_ipvsadm_rs_is_first
    test (count (__fish_ipvsadm_rs_words)) -eq 0
end

# Whether there is no subcommand. If there is, it is printed.
function __fish_ipvsadm_rs_needs_command
    set -l words (__fish_ipvsadm_rs_words)
    if test (count $words) -gt 0; and not string match -q -- '-*' $words[1]
        echo $words[1]
        return 1
    end
    return 0
end

# Options of ipvsadm come without operands.
complete -c ipvsadm-rs -n __fish_ipvsadm_rs_needs_command -f
