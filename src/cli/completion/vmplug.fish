# fish completion of vmplug: asks the program, and evaluates nothing of what it says.

function __vmplug_complete
    set -l words (commandline -opc) (commandline -ct)
    command vmplug __complete $words[2..-1] 2>/dev/null
end

complete -c vmplug -f -a '(__vmplug_complete)'
complete -c vmplug -l state-dir -x -a '(__fish_complete_directories (commandline -ct))'
