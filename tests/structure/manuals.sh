#!/bin/sh
# Fails when a manual page and what it describes part: the long options of each program (as its --help has them), the keys of
# the configuration and of the rules files (as their tables have them), the functions of taskforge.h, our own metrics. Both ways.
# And when the alerter does not take the rules that stand in the pages, in README.md and in deploy/examples.
# Usage: manuals.sh SOURCE_ROOT PROGRAM...
set -eu
root=$1
shift
pages=$root/deploy/man
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

say() {
    echo "$1"
    bad=$((bad + 1))
}

# same WHAT_THE_FIRST_IS WHAT_THE_SECOND_IS FIRST SECOND: sorted lists in files.
same() {
    [ -s "$3" ] || say "nothing was found in $1"
    for name in $(comm -23 "$3" "$4"); do say "$name is in $1, but not in $2"; done
    for name in $(comm -13 "$3" "$4"); do say "$name is in $2, but not in $1"; done
}

long_options() {
    sed 's/\\-/-/g' | grep -oE -e '--[a-z][a-z-]*' | LC_ALL=C sort -u
}

help_of() { # a program's, and those of its commands
    "$1" --help
    [ "${1##*/}" != tfctl ] || for command in query tail stats losses verify export import alerts ack resolve level recorder health metrics traces trace keygen; do "$1" $command --help; done
}

LC_ALL=C
export LC_ALL
for program in "$@"; do
    name=${program##*/}
    page=$(echo "$pages/$name".[18])
    help_of "$program" | long_options >"$work/help"
    long_options <"$page" >"$work/page"
    same "$name --help" "${page##*/}" "$work/help" "$work/page"
done

# A row without a reader is a key that is not built: it stands in the page's section of those.
tables="$root/common/process/config_schema.c $root/common/process/config_inputs.c"
page=$pages/taskforge.yaml.5
cat $tables | grep -oE '\.name = "[a-z_]+" ?\}' | grep -oE '"[a-z_]+"' | tr -d '"' |
    grep -vxE 'statsd|otlp|forward' | sort -u >"$work/missing"
cat $tables | grep -oE '\.name = "[a-z_]+",' | grep -oE '"[a-z_]+"' | tr -d '"' | sort -u >"$work/built"
sections='ring|agent|collector|history|metrics|host_metrics|alerter|exporter|health|memory|disk|redact|encrypt|dedup|flight_recorder'
keys() { # the last parts of the names in bold at the beginning of a line
    grep -E '^\.BR? [a-z_.]+( |$)' | sed -E 's/^\.BR? ([a-z_.]+).*/\1/; s/.*\.//' | sort -u
}
sed '/^\.SH NOT BUILT YET/,$d' "$page" | sed -n '/^\.TP/{n;p}' | keys >"$work/page"
grep -vxE "$sections" "$work/built" >"$work/leaves" # sections: their keys have them before the dot
grep -vxE "$sections" "$work/page" >"$work/page-leaves"
same "the schema" "taskforge.yaml.5" "$work/leaves" "$work/page-leaves"
sed -n '/^\.SH NOT BUILT YET/,/^\.SH EXAMPLES/p' "$page" | sed -E 's/ ,$//' | keys >"$work/page"
same "the schema's keys that are not built" "taskforge.yaml.5" "$work/missing" "$work/page"
while read -r key; do
    grep -qE "(^|[ {#-])$key:" "$root/deploy/examples/taskforge.yaml" || say "$key is not in deploy/examples/taskforge.yaml"
done <"$work/built"

# The rules files: each table of keys is a section "Keys of TABLE" of the page (the top is KEYS), each row a name in bold there.
# DURATION_KEY and WINDOW_KEY stand for rows; those of NAME_KEY and TYPE_KEY are any channel's.
tables="$root/alerter/rules_file.c $root/alerter/rules_channels.c $root/alerter/rules_conditions.c"
page=$pages/taskforge.rules.5
cat $tables | awk '
    /^static const struct config_key [a-z]+_keys\[\]/ { table = $5; sub(/_keys.*/, "", table) }
    /^};/ { table = "" }
    table == "" { next }
    /^ *TYPE_KEY/ { print "channel type built" }
    /^ *NAME_KEY/ { print "channel name built" }
    /^ *WINDOW_KEY/ { print table, "time_window built" }
    /\.name = "|^ *DURATION_KEY\("/ { split($0, part, "\""); print table, part[2], /\.name = "[a-z_]+" }/ ? "missing" : "built" }
' | sort -u >"$work/rows"
sed -n 's/ built$//p' "$work/rows" >"$work/keys"
awk '
    /^\.S[HS] / { table = /^\.SH KEYS/ ? "top" : /^\.SS Keys of/ ? $NF : "" }
    before == ".TP" && table != "" { sub(/^\.BR? /, ""); print table, $1 }
    { before = $1 }
' "$page" | sort -u >"$work/page"
tr ' ' . <"$work/keys" >"$work/built-rows"
tr ' ' . <"$work/page" >"$work/page-rows"
same "the tables of alerter/rules*.c" "taskforge.rules.5" "$work/built-rows" "$work/page-rows"
sed -n 's/ missing$//p' "$work/rows" | sed 's/.* //' | sort -u >"$work/missing"
sed -n '/^\.SH NOT BUILT YET/,/^\.SH EXAMPLES/p' "$page" | sed -E 's/ ,$//' | keys >"$work/page"
same "the keys of alerter/rules*.c that are not built" "taskforge.rules.5" "$work/missing" "$work/page"

# Rules that stand somewhere for people to copy.
judge() { # judge WHERE FILE: the alerter takes it as a rules file, and it has rules
    printf 'alerter: { rules_files: ["%s"] }\n' "$2" >"$work/config.yaml"
    grep -q '^rules:' "$2" || say "no rules were found in $1"
    "$alerter" --check --config "$work/config.yaml" >"$work/faults" || { cat "$work/faults"; say "the alerter does not take the rules in $1"; }
}
alerter=$(printf '%s\n' "$@" | grep '/taskforge-alerter$')
cp "$root/deploy/examples/rules.yaml" "$work/example.yaml"
judge deploy/examples/rules.yaml "$work/example.yaml"
sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$page" | sed -n '/^\.EX/,/^\.EE/{/^\.E/d;s/\\-/-/g;p}' >"$work/page.yaml"
judge taskforge.rules.5 "$work/page.yaml"
sed -n '/^```yaml$/,/^```$/{/^```/s/.*/---/;p}' "$root/README.md" |
    awk '/^---$/ { block = ""; next } { block = block $0 "\n" } /^rules:/ { rules = 1 } rules { held = block } END { printf "%s", held }' >"$work/readme.yaml"
judge README.md "$work/readme.yaml"

sed -n 's/^TF_API [^(]*[ *]\(tf_[a-z_]*[a-z]\)(.*/\1/p' "$root/agent/client/taskforge.h" | sort -u >"$work/header"
[ -s "$work/header" ] || say "no function was found in taskforge.h"
while read -r function; do
    grep -qw "$function" "$pages/taskforge.3" || say "$function of taskforge.h is not in taskforge.3"
done <"$work/header"

# Each metric of our own with its labels, kind and meaning: a row of the table, and two lines of the page.
sed -nE 's/^    X\([A-Z_]+, ([A-Z]+), "([a-z_]+)", "([a-z,]*)", "(.*)"\).*/\2{\3}\t\1\t\4/p' "$root/common/model/own_metrics.h" |
    awk -F '\t' '{ sub(/\{\}$/, "", $1); print "taskforge_" $1 " " tolower($2) ": " $3 }' | tr ' ' '_' | sort >"$work/metrics"
[ "$(wc -l <"$work/metrics")" -eq "$(grep -c '^    X(' "$root/common/model/own_metrics.h")" ] || say "a row of own_metrics.h was not understood"
awk '/^\.B taskforge_[a-z_{},]+$/ && after_tp { name = $2; getline; print name " " $0 } { after_tp = /^\.TP/ }' \
    "$pages/taskforge.metrics.7" | tr ' ' '_' | sort >"$work/page"
same "own_metrics.h" "taskforge.metrics.7" "$work/metrics" "$work/page"

for page in "$pages"/*; do
    grep -q "'man/${page##*/}'" "$root/deploy/meson.build" || say "${page##*/} is not installed by deploy/meson.build"
    if command -v groff >/dev/null; then # with man's macros where they are installed
        groff -t -ww -man -Tutf8 -z "$page" >"$work/warnings" 2>&1 || true
        ! grep -v "can't open\|can't find\|no such" "$work/warnings" | grep . || say "${page##*/} is no clean roff"
    fi
done
echo "$# programs, $(wc -l <"$work/built") keys, $(wc -l <"$work/keys") of rules, $(wc -l <"$work/header") functions: $bad differences"
[ "$bad" -eq 0 ]
