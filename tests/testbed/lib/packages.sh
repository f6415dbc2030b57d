# shellcheck shell=bash
# What has to be on the machine: which of it is missing, and how to get it.

# Prints the package for each COMMAND:PACKAGE whose command is not there.
missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
}

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n "$@"; fi; }

can_install() {
    command -v apt-get >/dev/null || return 1
    [[ $EUID -eq 0 ]] || sudo -n true 2>/dev/null
}

# Installs what is missing, if it may. Fills `help` with a line for each piece
# that is still missing: its name, and the command that installs it.
get_packages() { # LOG COMMAND:PACKAGE...
    local log=$1 package packages
    shift
    mapfile -t packages < <(missing_packages "$@" | sort -u)
    if [[ ${#packages[@]} -gt 0 ]] && can_install; then
        say "installing ${packages[*]}"
        install_packages "${packages[@]}" >>"$log" 2>&1 || tail -n 20 "$log" >&2
        hash -r
        mapfile -t packages < <(missing_packages "$@" | sort -u)
    fi
    for package in "${packages[@]}"; do
        help+=("$package is missing: apt-get install --no-install-recommends $package")
    done
}

# No service may start because its package was installed: invoke-rc.d asks
# policy-rc.d, and 101 means no. One that was there before is put back.
install_packages() (
    policy=/usr/sbin/policy-rc.d
    kept=
    restore() {
        as_root rm -f "$policy"
        if [[ -n $kept ]]; then as_root mv "$kept" "$policy"; fi
    }
    if [[ -e $policy ]]; then
        kept="$policy.dagger-testbed"
        as_root mv "$policy" "$kept"
    fi
    trap restore EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    # Another apt may hold the locks for a while.
    for try in 1 2 3 4 5; do
        if as_root apt-get -q update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
                -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"; then
            exit 0
        fi
        [[ $try -eq 5 ]] || sleep $((try * 5))
    done
    exit 1
)

# The Go that a module of ours asks for; nothing if the one on PATH will do.
go_too_old() { # MODULE
    local want have
    want=$(sed -n 's/^go //p' "$here/$1/go.mod")
    have=$(cd "$here/$1" && go env GOVERSION 2>/dev/null) || have=go0
    have=${have#go}
    [[ $(printf '%s\n' "$want" "${have%% *}" | sort -V | head -n 1) == "$want" ]] || echo "$want"
}

go_install_command() { # VERSION
    local arch
    arch=$(uname -m)
    case $arch in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
    [[ $1 == *.*.* ]] || set -- "$1.0"
    # shellcheck disable=SC2016 # the reader's PATH
    echo "curl -L https://go.dev/dl/go$1.linux-$arch.tar.gz | sudo tar -C /usr/local -xz; export" 'PATH="/usr/local/go/bin:$PATH"'
}
