#!/bin/sh
# Fails when an #include of the project runs against the floors (tests/structure/floors). One owner for each library: the
# second table says which file alone may include which foreign header.
# Usage: arrows.sh SOURCE_ROOT
set -eu
cd "$1"
find common agent collector exporter alerter tests deploy -name '*.[ch]' -type f | sort | xargs awk '
BEGIN {
    while ((getline line < "tests/structure/floors") > 0) {
        if (line ~ /^#/ || line ~ /^[ \t]*$/) continue
        n = split(line, part, " ")
        rows[part[1]] = 1
        may[part[1], part[1]] = 1
        for (i = 2; i <= n; i++) { may[part[1], part[i]] = 1; used[part[1]] = used[part[1]] " " part[i] }
    }
    owner["yaml.h"] = "common/process/yaml_tree.c"
    owner["lmdb.h"] = "common/store/"
    owner["zstd.h"] = "common/store/"
    owner["pcre2.h"] = "common/base/pattern.c"
    owner["sodium.h"] = "common/privacy/seal"
    owner["curl/curl.h"] = "common/process/http_client"
    owner["systemd/sd-journal.h"] = "agent/inputs/"
    owner["microhttpd.h"] = "exporter/http"
    owner["libdeflate.h"] = "exporter/gzip.c"
}
function row_of(path,   best, row) {
    best = ""
    for (row in rows)
        if (index(path, row "/") == 1 && length(row) > length(best)) best = row
    return best
}
function allowed(from, to,   n, part, i) {
    if (row_of(to) == from) return 1
    n = split(used[from], part, " ")
    for (i = 1; i <= n; i++)
        if (part[i] == to || index(to, part[i] "/") == 1) return 1
    return 0
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    to = quoted[2]
    from = row_of(FILENAME)
    checked++
    if (to == "taskforge.h") next # an app of its own: examples
    if (FILENAME ~ /^tests\// && to !~ /\//) { # the helper of a test, beside it
        folder = FILENAME
        sub(/[^\/]*$/, "", folder)
        to = folder to
    }
    if ((getline probe < to) < 0) # made while building, by its namesake
        sub(/\.inc$/, ".py", to)
    if ((getline probe < to) < 0) {
        print FILENAME ":" FNR ": \"" to "\" is not a path from the project root"; bad++
    } else if (from == "" || !allowed(from, to)) {
        print FILENAME ":" FNR ": " (from == "" ? "this folder" : from) " must not use " to; bad++
    }
    close(to)
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    split($0, angled, /[<>]/)
    if (FILENAME !~ /^tests\// && (angled[2] in owner) && index(FILENAME, owner[angled[2]]) != 1) {
        print FILENAME ":" FNR ": <" angled[2] "> belongs to " owner[angled[2]]; bad++
    }
}
END {
    print checked + 0 " includes checked, " bad + 0 " against the floors"
    exit bad > 0 || checked == 0
}'
