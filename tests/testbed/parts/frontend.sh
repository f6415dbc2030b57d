# shellcheck shell=bash
# BuildKit's Dockerfile frontend as a program, for images that `# syntax=` names.
part_title="the Dockerfile frontend (about a minute the first time)"
part_inputs=(parts/frontend.sh lib/go.sh gomod-buildkit/go.mod gomod-buildkit/go.sum)
part_makes=(bin/dockerfile-frontend)
part_needs_go=gomod-buildkit

part_build() { # OUT
    go_build gomod-buildkit "$1/bin" "" \
        github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend
}
