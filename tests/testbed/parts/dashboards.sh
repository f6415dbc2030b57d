# shellcheck shell=bash
# Grafana's own schema of a dashboard, as a program that checks files against it.
part_title="the check of dashboards (about 30 seconds the first time)"
part_inputs=(parts/dashboards.sh lib/go.sh gomod-dashboards/go.mod gomod-dashboards/go.sum gomod-dashboards/main.go)
part_makes=(bin/check-dashboards)
part_needs_go=gomod-dashboards

part_build() { # OUT
    go_build gomod-dashboards "$1/bin" "" .
    mv "$1/bin/dashboards" "$1/bin/check-dashboards"
}
