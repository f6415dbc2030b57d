# shellcheck shell=bash
# Free ports. Daemons take them a moment after they are chosen, so another bed
# may be faster: `start_with_ports` sees that, and tries again with others.

# Prints COUNT ports that nobody listens on. They lie below the range that the
# kernel gives to outgoing connections (32768 and up).
free_ports() { # COUNT
    local count=$1 port used
    # Local addresses look like 0100007F:1F90; a port in use by TCP or UDP is out.
    used=" $(awk '{ split($2, a, ":"); print a[2] }' /proc/net/{tcp,udp}{,6} 2>/dev/null | sort -u | tr '\n' ' ')"
    while [[ $count -gt 0 ]]; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        [[ $used != *" $(printf '%04X' $port) "* ]] || continue
        used+="$(printf '%04X' $port) "
        echo "$port"
        count=$((count - 1))
    done
}

# Whether process NAME itself holds PORT: somebody else's daemon answering there
# must not pass for ours.
holds_port() { # NAME tcp|udp PORT
    local hex inode links
    hex=$(printf '%04X' "$3")
    # 0A is LISTEN; UDP sockets have no such state.
    inode=$(awk -v port="$hex" -v proto="$2" '
        { split($2, a, ":") }
        a[2] == port && (proto == "udp" || $4 == "0A") { print $10; exit }
    ' "/proc/net/$2" "/proc/net/${2}6" 2>/dev/null)
    [[ -n $inode ]] || return 1
    links=$(find "/proc/$(pid_of "$1")/fd" -type l -printf '%l\n' 2>/dev/null) || true
    [[ $links == *"socket:[$inode]"* ]]
}

# Starts process NAME by `START PORT...` and waits until `READY PORT...` holds.
# Fails, with the tail of its log, when it ends or is not ready in time.
start_with_ports() { # NAME COUNT START READY
    local name=$1 count=$2 start=$3 ready=$4 try deadline
    for try in 1 2 3 4 5; do
        mapfile -t ports < <(free_ports "$count")
        : >"$dir/$name.log"
        "$start" "${ports[@]}"
        deadline=$((SECONDS + ${TESTBED_START_SECONDS:-60}))
        while alive "$name" && [[ $SECONDS -lt $deadline ]]; do
            if "$ready" "${ports[@]}"; then return 0; fi
            sleep 0.05
        done
        if alive "$name"; then
            say "$name is not ready after ${TESTBED_START_SECONDS:-60} s"
            break
        fi
        grep -q 'address already in use' "$dir/$name.log" || { say "$name ended"; break; }
        say "$name: a port was taken meanwhile, trying others"
        end "$name"
    done
    say "the end of $dir/$name.log:"
    tail -n 30 "$dir/$name.log" >&2
    return 1
}
