#!/bin/sh
# cargo for the wheel of the tests: it compiles whatever it is asked for with the
# features that `cargo test --workspace` selects. cargo selects the features of a
# crate for all that it is asked for together, so by themselves the module and
# the two programs would have all crates compiled once more, each its own.
#
# That one integration test is selected makes it a build of tests for cargo. All
# that setuptools-rust asks for is in what cargo then says it has made.
set -eu
case $1 in
rustc | build)
    export PYO3_BUILD_EXTENSION_MODULE=1
    exec cargo build --workspace --lib --bins --test generated --locked \
        --message-format=json-render-diagnostics
    ;;
esac
exec cargo "$@"
