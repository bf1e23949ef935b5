#!/bin/sh
# The arrow checker finds each kind of wrong arrow in a small tree made for it.
# Usage: arrows_fail.sh ARROWS_SH FLOORS
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/tests/structure" "$tree/deploy" "$tree/alerter" "$tree/common/base" "$tree/common/shm" "$tree/common/store" \
    "$tree/common/process" "$tree/agent/client" "$tree/collector" "$tree/exporter"
cp "$2" "$tree/tests/structure/floors"
for header in common/base/x common/shm/x common/store/x common/process/x agent/client/x agent/x collector/x; do
    : >"$tree/$header.h"
done
try() { # expected result, file, its include
    printf '%s\n' "$3" >"$tree/$2"
    if sh "$arrows" "$tree" >"$tree/out" 2>&1; then result=right; else result=wrong; fi
    if [ "$result" != "$1" ]; then
        echo "$2 with $3: expected $1, got $result"
        cat "$tree/out"
        exit 1
    fi
    rm "$tree/$2"
}
arrows=$1
try right collector/a.c '#include "common/store/x.h"'
try right collector/a.c '#include "collector/x.h"'
try wrong common/base/a.c '#include "common/shm/x.h"'
try wrong common/shm/a.c '#include "common/store/x.h"'
try wrong common/store/a.c '#include "common/shm/x.h"'
try wrong agent/client/a.c '#include "common/process/x.h"'
try wrong agent/a.c '#include "collector/x.h"'
try wrong exporter/a.c '#include "collector/x.h"'
try wrong collector/a.c '#include "x.h"'
try wrong deploy/a.c '#include "common/base/x.h"'
printf '#include "common/base/x.h"\n' >"$tree/exporter/b.c"
try wrong exporter/a.c '#include <yaml.h>'
