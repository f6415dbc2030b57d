# shellcheck shell=bash
# Container images without a registry: a root file system in one tar, as
# `docker import` and `podman import` take it. Needs: `bin`, and rootfs.tar beside it.

# Prints a tar of busybox, the given programs of the bed in /usr/bin, and the
# libraries that they need.
image_tar() { # PROGRAM...
    local root program lib
    root=$(mktemp -d)
    tar --extract --file "$(dirname "$bin")/rootfs.tar" --directory "$root"
    for program in "$@"; do
        cp -L "$bin/$program" "$root/usr/bin/"
        # A static program has none.
        ldd "$bin/$program" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
            mkdir -p "$root$(dirname "$lib")"
            cp -Ln "$lib" "$root$lib"
        done
    done
    tar --create --directory "$root" --owner=0 --group=0 --numeric-owner .
    rm -rf "$root"
}

# What an image of each program says of itself, as `import --change` takes it.
image_changes=(--change 'ENV PATH=/usr/bin:/bin')
buildkit_changes=(--change 'ENTRYPOINT ["buildkitd"]' --change 'VOLUME /var/lib/buildkit')
jaeger_changes=(--change 'ENTRYPOINT ["jaeger-v2"]' --change 'ENV JAEGER_LISTEN_HOST=0.0.0.0'
    --change 'EXPOSE 14268 16686 4317 4318')
