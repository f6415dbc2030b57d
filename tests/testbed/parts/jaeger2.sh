# shellcheck shell=bash
# Jaeger v2, from the last tag that its Go module has: 1.76.0 holds v2.13.0's
# program (cmd/jaeger). Later ones have no module version.
part_title="Jaeger v2 (about 4 minutes the first time)"
part_inputs=(parts/jaeger2.sh lib/go.sh gomod-jaeger2/go.mod gomod-jaeger2/go.sum)
part_makes=(bin/jaeger-v2)
part_needs_go=gomod-jaeger2

part_build() { # OUT
    local module=github.com/jaegertracing/jaeger
    go_build gomod-jaeger2 "$1/bin" "" $module/cmd/jaeger
    mv "$1/bin/jaeger" "$1/bin/jaeger-v2"
}
