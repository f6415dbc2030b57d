# shellcheck shell=bash
# bed.json: what a bed has and where. Needs: `dir`.

# Puts the result of a jq filter over bed.json in its place at one stroke: a
# reader sees the old file or the new one, never half of one.
edit_bed() { # JQ-ARGUMENT...
    local temp="$dir/.bed.json.$$"
    [[ -e $dir/bed.json ]] || echo '{}' >"$dir/bed.json"
    jq "$@" <"$dir/bed.json" >"$temp"
    mv "$temp" "$dir/bed.json"
}

# Prints a value of bed.json, nothing if it is not there.
bed() { jq -r "$1 // empty" "$dir/bed.json"; } # JQ-PATH

# The pids of all processes, whoever started them.
note_pids() {
    local process lines=()
    for process in $(noted); do lines+=("$process=$(pid_of "$process")"); done
    edit_bed '.pids = ($ARGS.positional | map(split("=") | {(.[0]): (.[1] | tonumber)}) | add // {})' \
        --args "${lines[@]}"
}

# DIR/env is for a shell: the variables that a user would set by hand.
write_env() {
    local temp="$dir/.env.$$"
    jq -r '
        def line($name; $value): select($value != null) | "export \($name)=\($value | @sh)";
        ((.buildkitd // {}) | .http // (to_entries | first | .value)) as $buildkitd |
        line("BUILDKIT_HOST"; $buildkitd.unix),
        line("OTEL_EXPORTER_JAEGER_ENDPOINT"; .jaeger.collector_url),
        line("JAEGER_QUERY_URL"; .jaeger.query_url),
        "export PATH=\(.bin | @sh):\"$PATH\""
    ' "$dir/bed.json" >"$temp"
    mv "$temp" "$dir/env"
}
