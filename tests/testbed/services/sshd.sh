# shellcheck shell=bash
# OpenSSH's sshd on loopback, with keys of its own: who logs in finds the bed's
# daemons in the environment. DIR/sshd/bin has an `ssh` that knows host and key,
# as a user's ~/.ssh/config would (ssh doesn't look at HOME).

sshd_variants=()

sshd_up() {
    local home=$dir/$name
    [[ $EUID -eq 0 ]] || { say "sshd needs root"; return 1; }
    mkdir -p "$home/bin" /run/sshd
    sshd_keys
    start_with_ports "$name" 1 sshd_start sshd_ready || return 1
    sshd_client "${ports[0]}"
    put '{host: "bed", port: ($port | tonumber), bin: "\($home)/bin", config: "\($home)/config", user: $user}' \
        --arg home "$home" --arg port "${ports[0]}" --arg user "$(id -un)"
}

sshd_keys() {
    local key
    for key in host user stranger; do
        [[ -e $home/$key ]] || ssh-keygen -q -t ed25519 -N '' -C "$key" -f "$home/$key"
    done
    cp "$home/user.pub" "$home/authorized_keys"
}

sshd_start() { # PORT
    local home=$dir/$name docker buildkit
    docker=$(bed .dockerd.host)
    buildkit=$(bed '.buildkitd | to_entries[0].value.unix')
    cat >"$home/sshd_config" <<CONF
ListenAddress 127.0.0.1
Port $1
HostKey $home/host
PidFile none
AuthorizedKeysFile $home/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
SetEnv "DOCKER_HOST=$docker" "BUILDKIT_HOST=$buildkit" "PATH=/usr/bin:/bin:/usr/sbin:$bin"
CONF
    spawn "$name" -- /usr/sbin/sshd -D -e -f "$home/sshd_config"
}

sshd_ready() { holds_port "$name" tcp "$1"; } # PORT

sshd_client() { # PORT
    local home=$dir/$name
    echo "[127.0.0.1]:$1 $(cat "$home/host.pub")" >"$home/known_hosts"
    # `bed` is the host as it should be; the others have one fault each.
    cat >"$home/config" <<CONF
Host bed stranger
    UserKnownHostsFile $home/known_hosts
Host unknown
    UserKnownHostsFile /dev/null
Host stranger
    IdentityFile $home/stranger
Host bed unknown
    IdentityFile $home/user
Host *
    HostName 127.0.0.1
    Port $1
    IdentitiesOnly yes
    IdentityAgent none
    StrictHostKeyChecking yes
    LogLevel ERROR
CONF
    printf '#!/bin/sh\nexec /usr/bin/ssh -F %q "$@"\n' "$home/config" >"$home/bin/ssh"
    chmod 755 "$home/bin/ssh"
}
