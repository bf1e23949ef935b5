#!/bin/sh
# Fails when a header does not compile alone, or has no include guard.
# Usage: headers.sh SOURCE_ROOT COMPILER
set -eu
cd "$1"
compiler=$2
bad=0
count=0
for header in $(find common agent collector exporter alerter tests -name '*.h' -type f | sort); do
    count=$((count + 1))
    # Twice, so that a missing guard is seen; -Werror with the flags that the build uses for declarations.
    if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        $compiler -std=gnu11 -D_GNU_SOURCE -DTASKFORGE_VERSION='""' -DXXH_INLINE_ALL -I. -Iagent/client -Wall -Wextra \
            -Wstrict-prototypes -Werror -fsyntax-only -x c -; then
        echo "$header does not compile alone"
        bad=$((bad + 1))
    fi
done
echo "$count headers compiled alone, $bad failed"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
