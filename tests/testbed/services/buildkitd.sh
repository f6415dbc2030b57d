# shellcheck shell=bash
# buildkitd with runc, on a unix socket and on TCP. The variant says where the
# daemon exports its spans: `http` (the default) to Jaeger's collector, `udp` to
# its agent, `otlp` to its OTLP receiver over HTTP, `mute` nowhere; that one lets
# steps have the host's network and all rights. Spans leave every 5 s, as
# everywhere; `quick` is `http` with 0.2 s, for a test that is about something
# else. `tls` is `mute` whose port asks for a certificate, and shows one for
# buildkitd.test.

buildkitd_variants=(http udp otlp mute quick tls)

buildkitd_up() {
    local exports socket otel_socket
    [[ $EUID -eq 0 ]] || { say "buildkitd needs root here"; return 1; }
    case $variant in
    http | quick) exports=$(bed .jaeger.collector_url) ;;
    udp) exports=$(bed .jaeger.agent) ;;
    otlp) exports=$(bed .jaeger.otlp_http_url) ;;
    mute | tls) exports=none ;;
    esac
    [[ -n $exports ]] || { say "$service:$variant exports to jaeger: start that before it"; return 1; }

    buildkitd_sockets
    # The kernel takes 107 characters for a socket's path.
    [[ ${#otel_socket} -le 107 ]] || { say "$otel_socket is too long for a socket: use a shorter folder"; return 1; }

    start_with_ports "$name" 1 buildkitd_start buildkitd_ready || return 1
    put '{
        unix: "unix://\($socket)",
        socket: $socket,
        tcp: "tcp://127.0.0.1:\($port)",
        otel_socket: $otel,
        root: "\($home)/root",
        config: "\($home)/buildkitd.toml",
        snapshotter: $snapshotter,
        tls: (if $variant == "tls" then "\($home)/tls" else null end),
        exports_to: (if $exports == "none" then null else $exports end)
    }' --arg home "$dir/$name" --arg socket "$socket" --arg otel "$otel_socket" \
        --arg exports "$exports" --arg variant "$variant" --arg port "${ports[0]}" --arg snapshotter "$(buildkitd_snapshotter)"
}

buildkitd_sockets() { socket=$dir/bk-$variant.sock otel_socket=$dir/bk-$variant-otel.sock; }

buildkitd_start() { # PORT
    local home=$dir/$name trace=("JAEGER_TRACE=$exports")
    case $variant in
    mute | tls) trace=(OTEL_TRACES_EXPORTER=none) ;;
    otlp) trace=("OTEL_EXPORTER_OTLP_ENDPOINT=$exports" OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf) ;;
    quick) trace+=(OTEL_BSP_SCHEDULE_DELAY=200) ;;
    esac
    mkdir -p "$home"
    rm -f "$socket" "$otel_socket"
    [[ $variant != tls ]] || buildkitd_certificates "$home/tls" >/dev/null 2>&1 || return
    cat >"$home/buildkitd.toml" <<TOML
root = "$home/root"
$([[ $variant != mute ]] || echo 'insecure-entitlements = ["network.host", "security.insecure"]')

[grpc]
address = ["unix://$socket", "tcp://127.0.0.1:$1"]
$(buildkitd_tls "$home/tls")

[otel]
socketPath = "$otel_socket"

# overlayfs where the kernel and DIR's file system can, else native.
[worker.oci]
enabled = true
snapshotter = "auto"
binary = "$bin/runc"
networkMode = "host"

[worker.containerd]
enabled = false
TOML
    # Nothing listens on port 1, so a pull fails at once and says why, instead
    # of reaching for the network. Loopback addresses never go through a proxy.
    spawn "$name" "${trace[@]}" \
        HTTP_PROXY=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 \
        NO_PROXY=localhost,127.0.0.1 -- \
        "$bin/buildkitd" --config "$home/buildkitd.toml"
}

buildkitd_tls() { # FOLDER
    [[ $variant == tls ]] || return 0
    printf '[grpc.tls]\ncert = "%s/server.pem"\nkey = "%s/server.key"\nca = "%s/ca.pem"\n' "$1" "$1" "$1"
}

# An authority that signs server and client, and another that signs a stranger.
buildkitd_certificates() { # FOLDER
    local folder=$1 name
    mkdir -p "$folder"
    for name in ca other-ca; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$name" \
            -keyout "$folder/$name.key" -out "$folder/$name.pem" || return
    done
    for name in server client stranger; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
            -keyout "$folder/$name.key" -out "$folder/$name.csr" || return
    done
    buildkitd_sign server ca 'subjectAltName=DNS:buildkitd.test'
    buildkitd_sign client ca 'extendedKeyUsage=clientAuth'
    buildkitd_sign stranger other-ca 'extendedKeyUsage=clientAuth'
    # A folder as --tls-dir takes it.
    mkdir -p "$folder/dir"
    cp "$folder/ca.pem" "$folder/dir/"
    cp "$folder/client.pem" "$folder/dir/cert.pem"
    cp "$folder/client.key" "$folder/dir/key.pem"
}

buildkitd_sign() { # NAME AUTHORITY EXTENSION
    openssl x509 -req -days 30 -in "$folder/$1.csr" -CA "$folder/$2.pem" -CAkey "$folder/$2.key" \
        -CAcreateserial -extfile <(echo "$3") -out "$folder/$1.pem"
}

buildkitd_ready() { # PORT
    [[ -S $socket ]] && holds_port "$name" tcp "$1" && buildkitd_ctl debug workers >/dev/null 2>&1
}

buildkitd_snapshotter() {
    buildkitd_ctl debug workers --format '{{json .}}' |
        jq -r '.[0].labels["org.mobyproject.buildkit.worker.snapshotter"]'
}

# With none of the caller's variables: buildctl would act on them.
buildkitd_ctl() { env -i "$bin/buildctl" --addr "unix://$socket" --timeout 10 "$@"; }

buildkitd_clean_up() {
    local home=$dir/$name container mount socket otel_socket
    # A killed daemon does not take its running steps along.
    for container in $(runc list --format json 2>/dev/null |
        jq -r --arg home "$home/" '.[]? | select(.bundle | startswith($home)) | .id'); do
        runc delete --force "$container" || true
    done
    # The deepest first.
    awk -v home="$home/" 'index($5, home) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mount; do umount "$mount" || umount -l "$mount" || true; done
    buildkitd_sockets
    rm -f "$socket" "$otel_socket"
}
