# shellcheck shell=bash
# The bed's processes: started on their own, noted by pid, ended by pid only.
# Needs: `dir`, the bed's folder, and for `spawn` also `bin`.
#
# DIR/pids/NAME holds the pid, DIR/pids/.NAME when that process was born.

# When a process started, in ticks since this boot, and the boot's id: tells a
# process of ours from a later one that was given the same pid.
born() { # PID
    local stat boot
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    stat=${stat##*) } # the name in front may hold anything
    # A zombie is gone; only its parent has not looked yet.
    [[ $stat != Z* ]] || return 1
    # shellcheck disable=SC2086 # to be split: field 22 of the line is the 20th here
    set -- $stat
    read -r boot </proc/sys/kernel/random/boot_id
    echo "${20} $boot"
}

# Runs COMMAND as the daemon NAME: in a session of its own, so that a Ctrl-C in
# the caller's terminal passes it by; with only the variables given to it, so
# that JAEGER_* and OTEL_* of the caller don't leak into it; with no file of the
# caller's open. It is noted before it runs: no moment at which it could be lost.
spawn() { # NAME VARIABLE=VALUE... -- COMMAND...
    local name=$1 vars=()
    shift
    while [[ $1 != -- ]]; do vars+=("$1") && shift; done
    shift
    mkdir -p "$dir/pids" "$dir/$name/tmp"
    rm -f "$dir/pids/$name"
    (
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            [[ $fd -le 2 || $fd -eq 255 ]] || eval "exec $fd>&-"
        done
        born "$BASHPID" >"$dir/pids/.$name"
        echo "$BASHPID" >"$dir/pids/$name"
        cd "$dir/$name" || exit
        exec setsid nohup env -i HOME="$dir/$name" TMPDIR="$dir/$name/tmp" \
            PATH="$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
            "${vars[@]}" "$@"
    ) </dev/null >>"$dir/$name.log" 2>&1 &
    until [[ -s $dir/pids/$name ]]; do sleep 0.01; done
}

pid_of() { cat "$dir/pids/$1" 2>/dev/null; } # NAME

alive() { # NAME
    local pid
    pid=$(pid_of "$1") || return 1
    [[ $(born "$pid") == "$(cat "$dir/pids/.$1")" ]] 2>/dev/null
}

# The names of all processes noted in this bed.
noted() { if [[ -d $dir/pids ]]; then ls "$dir/pids"; fi; }

# TERM to all of them, then KILL to those that are still there after 10 s.
end() { # NAME...
    local name deadline=$((SECONDS + 10))
    for name in "$@"; do
        if alive "$name"; then kill -TERM "$(pid_of "$name")" 2>/dev/null || true; fi
    done
    for name in "$@"; do
        while alive "$name" && [[ $SECONDS -lt $deadline ]]; do sleep 0.05; done
        if alive "$name"; then
            say "$name did not end in time: killing it"
            kill -KILL "$(pid_of "$name")" 2>/dev/null || true
            while alive "$name"; do sleep 0.05; done
        fi
        rm -f "$dir/pids/$name" "$dir/pids/.$name"
    done
}
