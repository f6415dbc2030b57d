# shellcheck shell=bash
# Sourced by every script of the bed: messages, and where the cache lives.
# Needs: `here`, the folder tests/testbed.

# What people read goes to stderr; stdout is for what scripts read.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

cache_home="${XDG_CACHE_HOME:-$HOME/.cache}/dagger-testbed"

# Debian keeps runc and iptables here; a user's PATH often leaves it out.
PATH="$PATH:/usr/sbin:/sbin"

# As in the Makefile, for the scripts that call cargo without it.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/dagger/target}
