# shellcheck shell=bash
# Jaeger v1 all-in-one, spans in memory. Every port is given: what is left out
# would take its default, and a second bed could not start.

jaeger_variants=()

jaeger_up() {
    start_with_ports "$name" 10 jaeger_start jaeger_ready || return 1
    put '($ARGS.positional | map("127.0.0.1:" + .)) as $at | {
        query_url: "http://\($at[0])",
        collector_url: "http://\($at[1])/api/traces",
        agent: $at[2],
        otlp_http_url: "http://\($at[3])",
        otlp_grpc_url: "http://\($at[4])",
        query_grpc: $at[5],
        admin_url: "http://\($at[6])"
    }' --args "${ports[@]}"
}

jaeger_start() { # PORT...
    local at=("${@/#/127.0.0.1:}")
    # Left alone, Jaeger traces its own query API and sends that to port 4317,
    # whoever listens there; with nobody there it takes 10 s and more to end.
    spawn "$name" SPAN_STORAGE_TYPE=memory OTEL_TRACES_SAMPLER=always_off \
        OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 -- \
        "$bin/jaeger-all-in-one" --memory.max-traces=10000 \
        --query.http-server.host-port="${at[0]}" \
        --collector.http-server.host-port="${at[1]}" \
        --processor.jaeger-compact.server-host-port="${at[2]}" \
        --collector.otlp.http.host-port="${at[3]}" \
        --collector.otlp.grpc.host-port="${at[4]}" \
        --query.grpc-server.host-port="${at[5]}" \
        --admin.http.host-port="${at[6]}" \
        --collector.grpc-server.host-port="${at[7]}" \
        --processor.jaeger-binary.server-host-port="${at[8]}" \
        --http-server.host-port="${at[9]}" \
        --processor.zipkin-compact.server-host-port=127.0.0.1:0
}

jaeger_ready() { # PORT...
    local i
    for i in 0 1 3 4 5 6; do holds_port "$name" tcp "${@:i+1:1}" || return 1; done
    holds_port "$name" udp "$3" || return 1
    # The admin port says 200 once all parts are up, 503 before.
    http_get "http://127.0.0.1:$7/" >/dev/null
}
