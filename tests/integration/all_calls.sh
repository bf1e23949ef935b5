#!/bin/sh
# all_calls.sh WAY SOURCE FOLDER_OF_TASKFORGE_H LIBTASKFORGE_A PROGRAM
#
# all_calls.c as an application of each kind: `complete`, no call of the header is missing in it; `c++`, compiled by each C++ compiler that is
# here, strictly, and run; `valgrind`, PROGRAM (the same in C) under valgrind, without an error or a leak. 77: there is no such tool.
set -eu
way=$1 source=$2 include=$3 static=$4 program=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TASKFORGE_RUNTIME_DIR="$work/run"

fail() {
    echo "FAIL: $1" >&2
    exit 1
}

run() { # run COMMAND...: in a runtime directory of its own
    rm -rf "$work/run"
    mkdir "$work/run"
    "$@" || fail "$* ended with status $?"
}

# Every function and macro for applications: their names do not end with '_'.
complete() {
    calls=$(sed -n -e 's/^TF_API .*[ *]\(tf_[a-z_]*[a-z]\)(.*/\1/p' -e 's/^#define \(TF_[A-Z_]*[A-Z]\)(.*/\1/p' \
        -e 's/^static inline [a-z_ ]*[ *]\(tf_[a-z_]*[a-z]\)(.*/\1/p' "$include/taskforge.h" | sort -u)
    [ "$(echo "$calls" | wc -l)" -gt 50 ] || fail "only these calls were found in the header: $calls"
    for call in $calls; do
        grep -q "\b$call(" "$source" || fail "$call is not called"
    done
    echo "$(echo "$calls" | wc -l) calls and macros"
}

in_cxx() {
    strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Werror"
    compiled=0
    for cxx in g++ clang++; do
        command -v "$cxx" >/dev/null || continue
        for standard in c++11 c++20; do
            # shellcheck disable=SC2086 # a list of options
            "$cxx" -x c++ -std=$standard $strict -I"$include" "$source" -x none -o "$work/program" "$static" -pthread ||
                fail "$cxx -std=$standard does not compile it"
            run "$work/program"
            compiled=$((compiled + 1))
        done
        for wrong in 'TF_INFO("o", "%s", 7)' 'TF_LOG_TO(NULL, TF_LEVEL_INFO, "o", "%d", "text")' 'tf_logf(NULL, 0, "m", "o", "%d %d", 1)'; do
            printf '#include <taskforge.h>\nvoid wrong();\nvoid wrong() { %s; }\n' "$wrong" >"$work/wrong.cc"
            if "$cxx" -std=c++11 -Wall -Werror -I"$include" -c -o /dev/null "$work/wrong.cc" 2>/dev/null; then
                fail "$cxx lets $wrong pass"
            fi
        done
    done
    [ "$compiled" -gt 0 ] || exit 77
    echo "$compiled programs in C++"
}

in_valgrind() {
    command -v valgrind >/dev/null || exit 77
    run valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect,possible \
        --errors-for-leak-kinds=definite,indirect,possible --track-fds=no "$program"
    echo "without an error or a leak"
}

case $way in
complete) complete ;;
c++) in_cxx ;;
valgrind) in_valgrind ;;
*) fail "unknown way \"$way\"" ;;
esac
