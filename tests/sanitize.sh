#!/bin/sh
# The tests of each crate with `unsafe` code, with AddressSanitizer and then with
# LeakSanitizer of the nightly Rust: `make sanitize`. With arguments: only of
# these crates.
#
# The build, which both use, is target/sanitize. A test that a sanitizer makes
# impossible is left out by its name, here and nowhere else.
set -eu
cd "$(dirname "$0")/.."

if ! host=$(rustc +nightly -vV 2>/dev/null | sed -n 's/^host: //p') ||
    [ -z "$host" ]; then
    echo 'LEFT OUT: the sanitizers because there is no nightly Rust'
    exit 0
fi

# left_out REASON TEST...: tests that the next run skips
skipped=
left_out() {
    reason=$1
    shift
    for name; do
        echo "LEFT OUT: $name because $reason"
        skipped="$skipped --skip $name"
    done
}

# tested OPTIONS CRATE...: runs the tests of these crates
tested() {
    options=$1
    shift
    packages=
    for crate; do
        packages="$packages --package $crate"
    done
    # shellcheck disable=SC2086 # names of crates and tests have no spaces
    ASAN_OPTIONS=$options RUSTFLAGS=-Zsanitizer=address \
        CARGO_PROFILE_DEV_DEBUG=line-tables-only \
        cargo +nightly test --locked --no-fail-fast --target "$host" \
        --target-dir target/sanitize $packages -- $skipped
}

crates=${*:-$(grep -rlw --include='*.rs' unsafe rust | cut -d/ -f2 | sort -u)}
status=0

# shellcheck disable=SC2086 # names of crates have no spaces
echo "AddressSanitizer:" $crates
left_out 'it limits memory to less than AddressSanitizer needs' \
    a_system_without_anything_left_is_an_error
left_out 'it counts system calls, and AddressSanitizer makes some of its own' \
    planted_files_cost_no_work
# shellcheck disable=SC2086
tested detect_leaks=0 $crates || status=1

echo 'LeakSanitizer: uilog-sys'
left_out 'LeakSanitizer cannot work in a process that strace traces' \
    a_directory_that_hangs_holds_up_few_children_and_nobody_else \
    a_stale_handle_is_opened_once_more \
    only_the_listed_system_calls_happen_before_the_exec \
    only_the_listed_system_calls_happen_in_a_child \
    only_the_listed_system_calls_happen_in_the_foreground \
    system_calls_that_fail_cost_no_record \
    where_there_are_no_locks_a_private_log_grows
left_out 'LeakSanitizer needs the clone that it refuses' \
    where_clone_is_refused_posix_spawn_does_it \
    where_clone_is_refused_the_foreground_is_forked
case " $crates " in
*uilog-sys*) tested detect_leaks=1 uilog-sys || status=1 ;;
esac

echo 'LEFT OUT: ThreadSanitizer and Miri (docs/safety.md)'
exit $status
