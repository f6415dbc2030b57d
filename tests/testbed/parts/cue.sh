# shellcheck shell=bash
# The cue command, for plans that are written in CUE.
part_title="the cue command (about a minute the first time)"
part_inputs=(parts/cue.sh lib/go.sh gomod-cue/go.mod gomod-cue/go.sum)
part_makes=(bin/cue)
part_needs_go=gomod-cue

part_build() { # OUT
    go_build gomod-cue "$1/bin" "" cuelang.org/go/cmd/cue
}
