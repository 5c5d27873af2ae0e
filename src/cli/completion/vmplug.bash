# bash completion of vmplug: asks the program, and evaluates nothing of what it says.

_vmplug() {
    local cur words cword line breaks kept=
    COMPREPLY=()
    _get_comp_words_by_ref -n := cur words cword
    # readline takes what follows a colon or an equals sign for a word of its own.
    breaks=${COMP_WORDBREAKS//[^:=]/}
    [[ -z $breaks ]] || kept=${cur%"${cur##*[$breaks]}"}
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        COMPREPLY+=("${line#"$kept"}")
    done < <(command vmplug __complete "${words[@]:1:cword-1}" "$cur" 2>/dev/null)
}

# Where there is no candidate, a file's name: --state-dir, a monitor's socket.
complete -o default -F _vmplug vmplug
