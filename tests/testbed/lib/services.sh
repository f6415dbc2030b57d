# shellcheck shell=bash
# A service is a file services/NAME.sh that defines
#   NAME_variants     its variants, the default first; () if it has none
#   NAME_up           starts the process $name and puts its object into bed.json
#   NAME_clean_up     optional: removes what a killed $name left behind
# `pick` sets what they go by: service, variant, and name, the process's name.
# In bed.json a service is .NAME, or .NAME.VARIANT if it has variants.

services=()
for file in "$here"/services/*.sh; do
    source "$file"
    services+=("$(basename "$file" .sh)")
done

pick() { # SERVICE[:VARIANT]
    service=${1%%:*}
    declare -F "${service}_up" >/dev/null || die "no service $service; there are: ${services[*]}"
    local -n variants="${service}_variants"
    variant=${variants[0]-}
    [[ $1 != *:* ]] || variant=${1#*:}
    [[ -z $variant || " ${variants[*]} " == *" $variant "* ]] ||
        die "$service has no variant $variant; there are: ${variants[*]:-none}"
    name=$service${variant:+-$variant}
}

# The reverse: which service a process belongs to.
pick_process() { pick "${1/-/:}"; } # NAME

# Puts an object in at the service's place in bed.json.
put() { # JQ-FILTER JQ-ARGUMENT...
    local object
    object=$(jq -n --arg log "$dir/$name.log" --argjson pid "$(pid_of "$name")" \
        "{pid: \$pid, log: \$log} + ($1)" "${@:2}")
    edit_bed --argjson object "$object" --arg service "$service" --arg variant "$variant" \
        'setpath([$service, $variant] | map(select(. != "")); $object)'
}

forget() {
    edit_bed --arg service "$service" --arg variant "$variant" \
        'delpaths([[$service, $variant] | map(select(. != ""))]) | if .[$service] == {} then del(.[$service]) else . end'
}

clean_up() { if declare -F "${service}_clean_up" >/dev/null; then "${service}_clean_up"; fi; }
