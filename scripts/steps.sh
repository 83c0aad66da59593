# shellcheck shell=bash
# Steps of a run, each timed, and a summary of them. Sourced by test and lint.
# Every step runs, so that one run shows all that is wrong.

summary=() failed=0

step() {
    local name=$1 begin=$SECONDS result=ok
    shift
    echo "=== $name"
    "$@" </dev/null || { result=FAILED failed=1; }
    summary+=("$(printf '%-7s %4d s  %s' "$result" $((SECONDS - begin)) "$name")")
}

# Says that a step was left out, and why.
skip() { summary+=("$(printf '%-7s         %s: %s' skipped "$1" "$2")"); }

# Prints the summary and ends with the right status.
summarise() {
    echo "=== summary"
    printf '%s\n' "${summary[@]}"
    exit "$failed"
}
