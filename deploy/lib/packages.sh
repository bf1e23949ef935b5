# shellcheck shell=bash disable=SC2154
# packages.sh - for deploy/up and tests/run: what of deploy/packages is missing, and how to get it. Sourced by bash scripts;
# uses $root, the project's folder.

# is_installed NAME[|OTHER]... : whether one of them is.
is_installed() {
    local name
    for name in ${1//|/ }; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] && return 0
    done
    return 1
}

# missing_packages PURPOSE... : prints the packages for these purposes that are not installed, on one line.
missing_packages() {
    local name purpose wanted missing=()
    while read -r name purpose; do
        [[ -z $name || $name == \#* ]] && continue
        for wanted in "$@"; do
            [[ $purpose == "$wanted" ]] || continue
            is_installed "$name" || missing+=("${name%%|*}")
        done
    done <"$root/deploy/packages"
    echo "${missing[*]}"
}

# While packages are installed, none of them starts a service of its own.
keep_services_down() {
    policy=/usr/sbin/policy-rc.d
    if [[ -e $policy ]]; then
        policy=
    else
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
}

let_services_up() {
    [[ -z ${policy:-} ]] || rm -f "$policy"
    policy=
}

# need_packages PURPOSE... : installs what is missing, as root; else says what to ask root for. False when it is not there.
need_packages() {
    local log missing failed=0
    if ! command -v dpkg-query >/dev/null; then
        echo "this is no Debian: what is needed is listed in deploy/packages; going on with what is here"
        return 0
    fi
    missing=$(missing_packages "$@")
    [[ -n $missing ]] || return 0
    if ((EUID != 0)); then
        echo "these packages are missing; ask root for: apt-get install --no-install-recommends $missing" >&2
        return 1
    fi
    echo "installing: $missing"
    log=$(mktemp /tmp/taskforge-packages.XXXXXX)
    keep_services_down
    trap let_services_up EXIT
    # shellcheck disable=SC2086 # a list of words
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
        >"$log" 2>&1 </dev/null || failed=1
    let_services_up
    trap - EXIT
    if ((failed)); then
        tail -n 20 "$log" >&2
        echo "the packages could not be installed (see above, and $log)" >&2
        return 1
    fi
    rm -f "$log"
}
