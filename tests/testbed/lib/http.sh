# shellcheck shell=bash
# The little HTTP the bed needs, without curl: GET from a loopback address.

# Prints the body; fails if the status is not 200.
http_get() { # http://HOST:PORT/PATH
    local rest=${1#http://} at path line status
    at=${rest%%/*} path=/${rest#*/}
    (
        exec 3<>"/dev/tcp/${at%:*}/${at##*:}" || exit 1
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$path" "$at" >&3
        read -r -t 10 _ status _ <&3
        while read -r -t 10 line <&3 && [[ $line != $'\r' ]]; do :; done
        cat <&3
        [[ $status == 200 ]]
    ) 2>/dev/null
}
