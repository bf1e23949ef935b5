#!/bin/sh
# Holds systemd's units to what they promise, without a booted system. `table`: each daemon has its unit, is started by the
# target and by deploy/up; users and folders that a unit names are made by sysusers.d and tmpfiles.d; the configuration that
# is installed is taken. `figures`: systemd finds no fault in them and no exposure above 1.5 (skipped without systemd-analyze).
# Usage: units.sh table|figures SOURCE_ROOT BUILD_ROOT PROGRAM...
set -eu
what=$1 source=$2 made=$3/deploy
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

say() {
    echo "$1"
    bad=$((bad + 1))
}

values() { # values KEY UNIT: one on each line
    sed -n "s/^$1=//p" "$2" | tr ' ' '\n' | grep .
}

check_unit() { # check_unit NAME
    unit=$made/$1.service
    values ExecStart "$unit" | grep -q "/bin/$1\$" || say "$1.service does not start $1"
    values Wants "$made/taskforge.target" | grep -qx "$1.service" || say "taskforge.target does not start $1.service"
    grep -q "^ *\"${1#taskforge-} " "$source/deploy/up" || say "deploy/up does not run $1"
    ! grep -n '@[a-z_]*@' "$unit" || say "$1.service has a place that was not filled in"
    for line in Type=notify Restart=always "PartOf=taskforge.target" "ExecReload=/bin/sh -c 'kill -HUP \$MAINPID'"; do
        grep -qxF "$line" "$unit" || say "$1.service does not have $line"
    done
    grep -q '^WatchdogSec=[1-9]' "$unit" || say "$1.service is not watched"
    grep -qE "^u $(values User "$unit") " "$source/deploy/sysusers.d/taskforge.conf" || say "the user of $1.service is not made"
    for group in $(values Group "$unit") $(values SupplementaryGroups "$unit"); do
        grep -qE "^[ug] $group " "$source/deploy/sysusers.d/taskforge.conf" || say "the group $group of $1.service is not made"
    done
    grep -q "^f /run/taskforge/${1#taskforge-}.lock [0-7]* $(values User "$unit") " "$made/tmpfiles.conf" ||
        say "the lock of $1.service is not made"
    for folder in $(values ReadWritePaths "$unit"); do
        grep -q "^d $folder " "$made/tmpfiles.conf" || say "the folder $folder of $1.service is not made"
    done
}

check_table() { # check_table PROGRAM...
    for program in "$@"; do
        [ -s "$made/${program##*/}.service" ] || { say "${program##*/} has no unit"; continue; }
        check_unit "${program##*/}"
        "$program" --check --config "$source/deploy/systemd/etc-taskforge.yaml" ||
            say "${program##*/} does not take the configuration that is installed"
    done
    [ "$(values Wants "$made/taskforge.target" | wc -l)" -eq $# ] || say "taskforge.target starts others than $*"
    # The collector's stdout in the journal would come in again through the agent.
    grep -qx StandardOutput=null "$made/taskforge-collector.service" || say "the collector's stdout is not kept from the journal"
}

check_figures() { # check_figures PROGRAM...
    command -v systemd-analyze >/dev/null || exit 77
    cp "$made"/taskforge.target "$work"
    for program in "$@"; do # from where it was built, as it may not be installed
        sed "s|^ExecStart=.*|ExecStart=$(realpath "$program")|" "$made/${program##*/}.service" >"$work/${program##*/}.service"
    done
    # With SYSTEMD_UNIT_PATH the machine's own units are added, since ours refer to them.
    SYSTEMD_UNIT_PATH=$work: systemd-analyze verify --man=no "$work"/taskforge* >"$work/faults" 2>&1 ||
        say "systemd-analyze verify fails"
    ! grep "taskforge" "$work/faults" || say "systemd-analyze verify finds faults"
    for program in "$@"; do
        systemd-analyze security --offline=true --threshold=15 --no-pager "$work/${program##*/}.service" >"$work/figure" 2>&1 ||
            { cat "$work/figure"; say "${program##*/}.service is more exposed than 1.5"; }
        tail -n 1 "$work/figure"
    done
}

"check_$what" "$@"
echo "$# units: $bad faults"
[ "$bad" -eq 0 ]
