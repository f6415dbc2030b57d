# shellcheck shell=bash
# Debian's dockerd on a socket of its own, with the images that users pull: made
# of the bed's own programs, under the names that they have in the registries.
#
# A bridge of the bed's own and no iptables: beds don't get into each other's
# way. Networks that compose makes have their addresses from a pool of this bed's.

dockerd_variants=()

dockerd_up() {
    local socket
    [[ $EUID -eq 0 ]] || { say "dockerd needs root"; return 1; }
    dockerd_socket
    start_with_ports "$name" 1 dockerd_start dockerd_ready || return 1
    dockerd_images
    put '{host: "unix://\($socket)", socket: $socket, buildkit_image: $image}' \
        --arg socket "$socket" --arg image "$(dockerd_pin)"
}

dockerd_socket() { socket=$dir/docker.sock; }

dockerd_start() { # PORT, only for a number that no other bed has
    local home=$dir/$name pool=$((64 + $1 % 64)).$((16 * ($1 / 64 % 16)))
    mkdir -p "$home"
    rm -f "$socket"
    dockerd_remove_bridge
    ip link add "dagger$1" type bridge || return
    echo "dagger$1" >"$home/bridge"
    ip address add "100.$pool.1/24" dev "dagger$1"
    ip link set "dagger$1" up
    spawn "$name" -- dockerd --host "unix://$socket" --pidfile "$home/pid" \
        --data-root "$home/data" --exec-root "$home/run" \
        --add-runtime "here=$here/lib/runc-here" --default-runtime here \
        --bridge "dagger$1" --iptables=false --ip6tables=false --ip-masq=false \
        --default-address-pool "base=100.${pool%.*}.$((${pool#*.} + 8)).0/21,size=24"
}

dockerd_ready() { [[ -S $socket ]] && dockerd_cli version >/dev/null 2>&1; }

# Debian's client, with none of the caller's variables; another one may be
# ahead of it on PATH.
dockerd_cli() { env -i HOME="$dir/$name" PATH=/usr/bin:/bin:/usr/sbin:/sbin DOCKER_HOST="unix://$socket" /usr/bin/docker "$@"; }

# The image that dagger's own container is made of.
dockerd_pin() { sed -n 's/^pub const IMAGE: &str = "\(.*\)";$/\1/p' "$here/../../src/engine/settings.rs"; }

dockerd_images() {
    local pin
    pin=$(dockerd_pin)
    image_tar buildkitd buildctl runc |
        dockerd_cli import "${image_changes[@]}" "${buildkit_changes[@]}" - moby/buildkit:latest
    dockerd_cli tag moby/buildkit:latest "${pin#docker.io/}"
    image_tar jaeger-v2 |
        dockerd_cli import "${image_changes[@]}" "${jaeger_changes[@]}" - jaegertracing/jaeger:2.20.0
    image_tar | dockerd_cli import "${image_changes[@]}" - busybox:latest
} >/dev/null

dockerd_remove_bridge() {
    local file=$dir/$name/bridge
    [[ ! -s $file ]] || ip link delete "$(cat "$file")" 2>/dev/null || true
    rm -f "$file"
}

dockerd_clean_up() {
    local home=$dir/$name pid mount
    # Containers of a killed daemon live on under their shims.
    for pid in $(pgrep -f -- "$home/run" || true); do kill -KILL "$pid" 2>/dev/null || true; done
    awk -v home="$home/" 'index($5, home) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mount; do umount "$mount" || umount -l "$mount" || true; done
    dockerd_remove_bridge
    dockerd_socket
    rm -f "$socket"
}
