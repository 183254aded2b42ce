# Shared by the scripts beside it; sourced, never run.

say() { printf 'astro: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# need PROGRAM HINT: ends the script with the hint when the program is missing.
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"; }

# kernel_files: the C files of kernels/native that drivers without XLA are made of.
kernel_files() {
  local file
  for file in kernels/native/*.c; do
    [[ $file == *handlers.c ]] || printf '%s\n' "$file" # needs XLA; the tests of the package call it
  done
}

# find_arm64: sets arm64 to the words of a compiler for arm64 that is here, or to nothing; zig to those of zig's, which is one for x86-64, too.
find_arm64() {
  local python=${PYTHON:-python3}
  zig=() arm64=()
  if command -v zig >/dev/null 2>&1; then zig=(zig cc); elif "$python" -m ziglang version >/dev/null 2>&1; then zig=("$python" -m ziglang cc); fi
  if command -v aarch64-linux-gnu-gcc >/dev/null 2>&1; then
    arm64=(aarch64-linux-gnu-gcc)
  elif ((${#zig[@]})); then
    arm64=("${zig[@]}" -target aarch64-linux-musl)
  fi
}

# no_pip: why wheels cannot be fetched here, or nothing.
no_pip() {
  if ! command -v python3 >/dev/null 2>&1; then
    printf 'python3 is missing, and wheels are fetched with its pip'
  elif ! python3 -m pip --version >/dev/null 2>&1; then
    printf 'python3 has no pip, which fetches wheels (package python3-pip)'
  fi
}

# sha256 FILE...: one checksum over the contents.
sha256() { cat "$@" | if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# library_key MODULE: changes whenever libtokenizers.a must be built again.
library_key() {
  local version
  version=$(go list -m -f '{{.Version}}' "$1")
  printf '%s %s %s-%s' "$version" "$(sha256 scripts/libtokenizers/Cargo.toml scripts/libtokenizers/Cargo.lock)" \
    "$(uname -s)" "$(uname -m)"
}
