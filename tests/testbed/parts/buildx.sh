# shellcheck shell=bash
# docker buildx, from its Go module: other people's client of BuildKit, whose traces are verified, too.
part_title="docker buildx (about 2 minutes after BuildKit)"
part_inputs=(parts/buildx.sh lib/go.sh gomod-buildx/go.mod gomod-buildx/go.sum)
part_makes=(bin/buildx)
part_needs_go=gomod-buildx

part_build() { # OUT
    local module=github.com/docker/buildx
    go_build gomod-buildx "$1/bin" "-X $module/version.Version=$(go_version_of gomod-buildx $module)" $module/cmd/buildx
}
