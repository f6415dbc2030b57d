# shellcheck shell=bash
# Jaeger v1's all-in-one, from Jaeger's Go module. The module has no web page
# (the UI is a git submodule, which Go modules leave out): only the APIs answer.
part_title="Jaeger (about 3 minutes the first time)"
part_inputs=(parts/jaeger.sh lib/go.sh gomod-jaeger/go.mod gomod-jaeger/go.sum)
part_makes=(bin/jaeger-all-in-one)
part_needs_go=gomod-jaeger

part_build() { # OUT
    local module=github.com/jaegertracing/jaeger
    go_build gomod-jaeger "$1/bin" \
        "-X $module/pkg/version.latestVersion=$(go_version_of gomod-jaeger $module)" \
        $module/cmd/all-in-one
    mv "$1/bin/all-in-one" "$1/bin/jaeger-all-in-one"
}
