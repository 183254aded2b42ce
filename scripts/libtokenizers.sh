#!/usr/bin/env bash
# Builds .cache/lib/libtokenizers.a, the Rust half of the Go module github.com/daulet/tokenizers, from the source in the
# Go module cache and the manifest and lock file in scripts/libtokenizers. Does nothing when the library is up to date.
# About two minutes the first time, milliseconds after that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

need go "install Go 1.26 or newer."
module=github.com/daulet/tokenizers
out=.cache/lib
lib=$out/libtokenizers.a

key=$(library_key "$module")
if [[ -s $lib && -f $lib.key && $(<"$lib.key") == "$key" ]]; then exit 0; fi

need cargo "libtokenizers.a is built from Rust source. Install Rust 1.85 or newer (rustup, or your distribution's cargo package) and run this again."
need cc "the tokenizer's regular expressions are C code. Install a C and C++ compiler (for example the package build-essential or gcc-c++)."

go mod download "$module"
source_dir=$(go list -m -f '{{.Dir}}' "$module")/crates/tokenizers/src
[[ -f $source_dir/lib.rs ]] || fail "no Rust source in $source_dir: the module changed its layout; adapt scripts/libtokenizers.sh"

mkdir -p "$out" .cache/build
exec 9>.cache/build/libtokenizers.lock
flock 9                                  # two makes at once build it once
if [[ -s $lib && -f $lib.key && $(<"$lib.key") == "$key" ]]; then exit 0; fi

say "building libtokenizers.a from $(go list -m "$module") (once, about two minutes)"
build=.cache/build/libtokenizers
rm -rf "$build/src"
mkdir -p "$build/src"
cp scripts/libtokenizers/Cargo.toml scripts/libtokenizers/Cargo.lock "$build/"
cp "$source_dir"/*.rs "$build/src/"
chmod -R u+w "$build/src"
started=$SECONDS
cargo build --quiet --locked --release --manifest-path "$build/Cargo.toml" --target-dir "$build/target" ||
  fail "cargo could not build libtokenizers.a (its message is above; it needs the crate registry, or a vendored copy of it, the first time)"
install -m 0644 "$build/target/release/libtokenizers_ffi.a" "$lib.new"
mv "$lib.new" "$lib"
printf '%s\n' "$key" >"$lib.key"
say "built $lib in $((SECONDS - started)) s"
