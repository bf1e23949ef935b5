#!/bin/sh
# library.sh CC CXX FOLDER_OF_TASKFORGE_H LIBTASKFORGE_A LIBTASKFORGE_SO RINGCAT
#
# libtaskforge as an application meets it: the header compiles alone, as strict C11 and as C++, without a warning; both
# libraries link with nothing but libc; they export tf_* and nothing else, so that an application may use names that
# the library uses inside. CXX may be "none".
set -eu
cc=$1 cxx=$2 include=$3 static=$4 shared=$5 ringcat=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/run"
export TASKFORGE_RUNTIME_DIR="$work/run"

fail() {
    echo "FAIL: $1" >&2
    exit 1
}

cat >"$work/app.c" <<'END'
#define TF_MODULE "app"
#include <taskforge.h>
/* what the library calls its own functions */
int check_failed(void);
int entry_validate(void);
int ring_attach(void);
int check_failed(void) { return 1; }
int entry_validate(void) { return 2; }
int ring_attach(void) { return 3; }
static int count_sample(const struct tf_metric_sample *sample, void *argument) {
    *(int *)argument += sample->label_count == 1;
    return 0;
}
static int use_metrics(void) {
    static const struct tf_label labels[] = { { "queue", "mail" } };
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "jobs_done");
    struct tf_metric_value value;
    tf_metric *done;
    int seen = 0;
    definition.labels = labels;
    definition.label_count = 1;
    if (tf_metric_register(NULL, &definition, &done) != 0 || tf_counter_add(done, 3) != 0)
        return 1;
    if (tf_metric_time(NULL, "took", 0.25, labels, 1) != 0 || tf_queue_stats(NULL, 3, 2, 1) != 0)
        return 2;
    if (tf_metric_get_own(done, &value, sizeof(value)) != 0 || value.kind != TF_COUNTER || value.value < 3)
        return 3;
    return tf_metric_each(NULL, count_sample, &seen) == 0; /* no collector has been here */
}
int main(void) {
    struct tf_entry entry;
    struct tf_options options = TF_OPTIONS_INIT;
    struct tf_field fields[2];
    fields[0] = tf_str("key", "value");
    fields[1] = tf_int("number", 7);
    if (tf_default_open("library-test", &options) != 0)
        return 1;
    TF_INFO("begin", "no argument");
    TF_WARN("begin", "%s and %d", "two", 2);
    if (1)
        TF_LOG(TF_LEVEL_ERROR, "begin", "%5.2f", 1.5);
    else
        TF_DEBUG("begin", "not this one");
    TF_LOG_TO(tf_default(), TF_LEVEL_INFO, "begin", "%s", "to a client");
    if (use_metrics() != 0)
        return 3;
    tf_entry_init(&entry, TF_LEVEL_INFO, "module", "write", "an entry");
    tf_entry_add(&entry, tf_bool("yes", 1));
    if (tf_entry_write(NULL, &entry) != 0)
        return 2;
    return tf_log_with_metadata(NULL, TF_LEVEL_INFO, NULL, "end", "metadata", fields, 2) != 0;
}
END
cp "$work/app.c" "$work/app.cc"

strict="-Wall -Wextra -Wpedantic -Wshadow -Wunused -Wconversion -Werror -I$include"
run() { # run NAME: the program's six entries must be in the ring
    "$work/$1" || fail "$1 ended with status $?"
    "$ringcat" "$TASKFORGE_RUNTIME_DIR" >"$work/entries" 2>"$work/metrics"
    grep -q '^cell counter app jobs_done{queue="mail"} 3$' "$work/metrics" || fail "$1: no counter in $(cat "$work/metrics")"
    grep -q '^update timer app add took{queue="mail"} 0.25 $' "$work/metrics" || fail "$1: no update in $(cat "$work/metrics")"
    [ "$(wc -l <"$work/entries")" -eq 6 ] || fail "$1 wrote $(wc -l <"$work/entries") entries, expected 6"
    grep -q '"service":"library-test","module":"app","operation":"begin","message":"two and 2"' "$work/entries" ||
        fail "$1: the macro's entry is not as it should be"
}

$cc -std=c11 $strict "$work/app.c" -o "$work/c-static" "$static" -pthread || fail "strict C11 with the static library"
run c-static
$cc -std=c11 $strict "$work/app.c" -o "$work/c-shared" "$shared" -Wl,-rpath,"$(dirname "$shared")" ||
    fail "strict C11 with the shared library"
run c-shared
if [ "$cxx" != none ]; then
    for standard in c++11 c++17 c++20; do
        $cxx -std=$standard $strict "$work/app.cc" -o "$work/cxx-static" "$static" -pthread || fail "$standard"
        run cxx-static
    done
fi
if $cc -std=c11 -Wall -Werror -I"$include" -xc -c -o /dev/null - 2>/dev/null <<'END'; then
#include <taskforge.h>
void wrong(void);
void wrong(void) { TF_INFO("o", "%s", 7); }
END
    fail "a format that does not fit its argument passed unseen"
fi

foreign=$(nm -g --defined-only "$static" | awk 'NF == 3 && $3 !~ /^tf_/ { print $3 }')
[ -z "$foreign" ] || fail "the static library exports $foreign"
foreign=$(nm -D --defined-only "$shared" | awk 'NF == 3 && $3 !~ /^tf_/ { print $3 }')
[ -z "$foreign" ] || fail "the shared library exports $foreign"
needed=$(readelf -d "$shared" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v -e '^libc\.so' -e '^libmsgpack' -e '^ld-linux' || :)
[ -z "$needed" ] || fail "the shared library needs $needed"
readelf -d "$shared" | grep -q 'SONAME.*libtaskforge\.so\.0' || fail "the shared library has no SONAME of version 0"
echo ok
