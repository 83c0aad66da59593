# shellcheck shell=bash
# Runs steps, measures their times, and prints a summary. Test and lint source this file.
# Every step runs, so that one run shows all failures.

summary=() failed=0

step() {
    local name=$1 begin=$SECONDS result=ok
    shift
    echo "=== $name"
    "$@" </dev/null || { result=FAILED failed=1; }
    summary+=("$(printf '%-7s %4d s  %s' "$result" $((SECONDS - begin)) "$name")")
}

# Notes that a step was left out, and why.
skip() { summary+=("$(printf '%-7s         %s: %s' skipped "$1" "$2")"); }

# Prints the summary, and exits with 1 if a step failed.
summarise() {
    echo "=== summary"
    printf '%s\n' "${summary[@]}"
    exit "$failed"
}
