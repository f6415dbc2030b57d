# shellcheck shell=bash
# Debian's podman with a storage of its own, running buildkitd in a container
# named `podman-buildkitd`. DIR/podman/bin has a `podman` that looks there.

podman_variants=()

podman_up() {
    local home=$dir/$name
    [[ $EUID -eq 0 ]] || { say "podman needs root here"; return 1; }
    mkdir -p "$home/bin"
    # Its network namespaces and its configuration are the machine's own: not here.
    cat >"$home/bin/podman" <<SH
#!/bin/sh
exec env CONTAINERS_CONF=/dev/null /usr/bin/podman --root $(printf %q "$home/root") --runroot $(printf %q "$home/run") \
    --runtime $(printf %q "$here/lib/runc-here") --cgroup-manager=cgroupfs --events-backend=none "\$@"
SH
    chmod 755 "$home/bin/podman"
    image_tar buildkitd buildctl runc |
        "$home/bin/podman" import "${image_changes[@]}" "${buildkit_changes[@]}" - docker.io/moby/buildkit:latest \
            >>"$dir/$name.log" 2>&1 || { tail -n 5 "$dir/$name.log" >&2; return 1; }
    start_with_ports "$name" 1 podman_start podman_ready || return 1
    put '{bin: "\($home)/bin", container: "podman-buildkitd"}' --arg home "$home"
}

podman_start() {
    "$dir/$name/bin/podman" rm --force --ignore podman-buildkitd >/dev/null 2>&1 || true
    spawn "$name" -- "$dir/$name/bin/podman" run --rm --name podman-buildkitd --privileged --network=host \
        docker.io/moby/buildkit:latest
}

podman_ready() { "$dir/$name/bin/podman" exec podman-buildkitd buildctl debug workers >/dev/null 2>&1; }

podman_clean_up() {
    local home=$dir/$name
    [[ ! -x $home/bin/podman ]] || "$home/bin/podman" rm --all --force >/dev/null 2>&1 || true
    awk -v home="$home/" 'index($5, home) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mount; do umount "$mount" || umount -l "$mount" || true; done
}
