#compdef vmplug
# zsh completion of vmplug: asks the program, and evaluates nothing of what it says.

local line
local -a values shown

while IFS= read -r line; do
    values+=("${line%%$'\t'*}")
    shown+=("${line/$'\t'/  -- }")
done < <(command vmplug __complete "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)

# Where there is no candidate, a file's name: --state-dir, a monitor's socket.
if (( $#values )); then
    compadd -l -d shown -a values
else
    _files
fi
