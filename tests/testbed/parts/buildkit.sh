# shellcheck shell=bash
# buildkitd and buildctl, from BuildKit's Go module.
part_title="buildkitd and buildctl (about 3 minutes the first time)"
part_inputs=(parts/buildkit.sh lib/go.sh gomod-buildkit/go.mod gomod-buildkit/go.sum)
part_makes=(bin/buildkitd bin/buildctl)
part_needs_go=gomod-buildkit

part_build() { # OUT
    local module=github.com/moby/buildkit
    # Without the version the daemon calls itself v0.0.0+unknown.
    go_build gomod-buildkit "$1/bin" \
        "-X $module/version.Version=$(go_version_of gomod-buildkit $module)" \
        $module/cmd/buildkitd $module/cmd/buildctl
}
