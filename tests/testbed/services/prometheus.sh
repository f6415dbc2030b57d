# shellcheck shell=bash
# Debian's Prometheus, scraping the bed's Jaeger v2 every second by the
# configuration that dashboards/ ships.

prometheus_variants=()

prometheus_up() {
    [[ $(jq -r '.jaeger2.metrics // empty' "$dir/bed.json") != "" ]] || die "prometheus needs jaeger2 before it"
    start_with_ports "$name" 1 prometheus_start prometheus_ready || return 1
    put '{url: "http://127.0.0.1:\($ARGS.positional[0])"}' --args "${ports[@]}"
}

prometheus_start() { # PORT
    local metrics
    metrics=$(jq -r .jaeger2.metrics "$dir/bed.json")
    sed -e "s/jaeger:8889/$metrics/" -e 's/scrape_interval: .*/scrape_interval: 1s/' \
        "$here/../../dashboards/prometheus.yaml" >"$dir/prometheus.yaml"
    spawn "$name" -- prometheus --config.file="$dir/prometheus.yaml" \
        --storage.tsdb.path="$dir/prometheus" --web.listen-address="127.0.0.1:$1"
}

prometheus_ready() { # PORT
    holds_port "$name" tcp "$1" || return 1
    http_get "http://127.0.0.1:$1/-/ready" >/dev/null
}

prometheus_clean_up() { rm -rf "$dir/prometheus"; }
