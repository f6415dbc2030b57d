# shellcheck shell=bash
# Jaeger v2 with the configuration that dashboards/ ships, at ports of its own:
# spans in memory, a metric for each kind of them.

jaeger2_variants=()

jaeger2_up() {
    start_with_ports "$name" 8 jaeger2_start jaeger2_ready || return 1
    put '($ARGS.positional | map("127.0.0.1:" + .)) as $at | {
        query_url: "http://\($at[0])",
        collector_url: "http://\($at[1])/api/traces",
        agent: $at[2],
        otlp_http_url: "http://\($at[3])",
        otlp_grpc_url: "http://\($at[4])",
        query_grpc: $at[5],
        admin_url: "http://\($at[6])",
        metrics: $at[7]
    }' --args "${ports[@]}"
}

jaeger2_start() { # PORT...
    local at=("${@/#/127.0.0.1:}")
    # Left alone, it traces its own query API.
    spawn "$name" OTEL_TRACES_SAMPLER=always_off -- \
        "$bin/jaeger-v2" --config "$here/../../dashboards/jaeger.yaml" \
        --set extensions.jaeger_query.http.endpoint="${at[0]}" \
        --set receivers.jaeger.protocols.thrift_http.endpoint="${at[1]}" \
        --set receivers.jaeger.protocols.thrift_compact.endpoint="${at[2]}" \
        --set receivers.otlp.protocols.http.endpoint="${at[3]}" \
        --set receivers.otlp.protocols.grpc.endpoint="${at[4]}" \
        --set extensions.jaeger_query.grpc.endpoint="${at[5]}" \
        --set extensions.healthcheckv2.http.endpoint="${at[6]}" \
        --set exporters.prometheus.endpoint="${at[7]}" \
        --set connectors.spanmetrics.metrics_flush_interval=1s
}

jaeger2_ready() { # PORT...
    local i
    for i in 0 1 3 4 5 6 7; do holds_port "$name" tcp "${@:i+1:1}" || return 1; done
    holds_port "$name" udp "$3" || return 1
    http_get "http://127.0.0.1:$7/status" >/dev/null
}
