# shellcheck shell=bash
# Builds commands out of a Go module that is committed beside this folder.
# Its hash is part of every Go part's key: a change here builds them anew.

# Everything Go writes stays under our own cache folder. Set, not merged: flags
# of the user's would change what is built.
go_env() {
    export GOMODCACHE="$cache_home/go/mod" GOCACHE="$cache_home/go/build"
    export GOFLAGS="-modcacherw -buildvcs=false" GOWORK=off CGO_ENABLED=0
    unset GOOS GOARCH GOBIN GOEXPERIMENT
}

# The version of a dependency, as go.mod has it.
go_version_of() { # MODULE DEPENDENCY
    awk -v dep="$2" '$1 == dep { print $2; exit } $1 == "require" && $2 == dep { print $3; exit }' \
        "$here/$1/go.mod"
}

go_build() { # MODULE OUT LDFLAGS PACKAGE...
    local module=$1 out=$2 ldflags=$3
    shift 3
    (
        go_env
        cd "$here/$module" || exit
        # Listing fetches exactly what the build needs; registries do hiccup.
        for try in 1 2 3; do
            go list -deps "$@" >/dev/null && break
            [[ $try -lt 3 ]] || exit 1
            sleep $((try * 5))
        done
        mkdir -p "$out"
        nice go build -trimpath -ldflags "-s -w $ldflags" -o "$out/" "$@"
    )
}
