#!/usr/bin/env bash
# The root folder of the container image, with and without docker.
#   lay DIR   puts astro's own files under DIR (the Dockerfile does this in its build stage)
#   lay-cuda DIR  puts what `make cuda` fetched there, as far as programs need it
#   build     .cache/rootfs: the same, and the shared libraries of this machine, so that it can be entered with chroot
#   test      runs the binary in .cache/rootfs as user 65532 on a read-only tree with only /tmp writable (needs root)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

root=$PWD/.cache/rootfs
plugin=.cache/xla-cpu/pjrt_c_api_cpu_plugin.so
share=usr/local/share/astro
user=65532

lay() {
  local to=$1
  [[ -x bin/astro ]] || fail "no bin/astro: run make build first"
  install -D -m 0755 bin/astro "$to/usr/local/bin/astro"
  mkdir -p "$to/$share"
  cp LICENSE README.md "$to/$share/"
  if [[ -d models ]]; then cp -r models "$to/$share/"; fi
  if [[ -s $plugin ]]; then
    mkdir -p "$to/usr/local/lib/astro"
    cp -l "$plugin" "$to/usr/local/lib/astro/" 2>/dev/null || cp "$plugin" "$to/usr/local/lib/astro/"
  fi
  chmod -R a+rX "$to/usr/local"
}

# lay_cuda DIR: the plugin and NVIDIA's libraries and tools, without its C++ compiler, headers and Python's files.
lay_cuda() {
  local to=$1/usr/local/lib/astro from=.cache/xla-cuda
  [[ -s $from/jax_plugins/xla_cuda13/xla_cuda_plugin.so ]] || fail "no CUDA plugin in $from: run make cuda first"
  mkdir -p "$to"
  (cd "$from" && find jax_plugins nvidia -type f \( -name '*.so' -o -name '*.so.*' -o -path '*/bin/ptxas' -o -path '*/bin/nvlink' -o -path '*/bin/fatbinary' \
    -o -name libdevice.10.bc -o -name version.py -o -iname 'license*' \) -not -name 'libnvvm.so*' -print0) |
    while IFS= read -r -d '' file; do
      mkdir -p "$to/$(dirname "$file")"
      cp -l "$from/$file" "$to/$file" 2>/dev/null || cp "$from/$file" "$to/$file"
    done
  chmod -R a+rX "$to"
}

# libraries FILE...: the shared libraries that the files load, the dynamic loader included.
libraries() { ldd "$@" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | grep -v ':$' | sort -u; }

build() {
  rm -rf "$root"
  mkdir -p "$root"/{tmp,proc,etc}
  : >"$root/etc/ld.so.conf" # go-xla looks there for libraries and says so where it is missing
  lay "$root"
  printf 'astro:x:%s:%s::/tmp:/bin/false\n' $user $user >"$root/etc/passwd"
  local lib
  for lib in $(libraries bin/astro $([[ -s $plugin ]] && echo "$plugin")); do
    install -D -m 0755 "$(readlink -f "$lib")" "$root$lib"
  done
  say "laid out $root ($(du -sh --apparent-size "$root" | cut -f1))"
}

# inside COMMAND...: becomes the command, run as the image would, so call it in a subshell. Mounts live in a namespace of their
# own and end with it.
inside() {
  exec unshare --mount --pid --fork --kill-child -- bash -eu -c '
    root=$1; user=$2; shift 2
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -o remount,ro,bind "$root"
    mount -t tmpfs -o size=1g,mode=1777 tmpfs "$root/tmp"
    exec env -i PATH=/usr/local/bin HOME=/tmp XDG_CACHE_HOME=/tmp \
      "$(command -v chroot)" --userspec="$user:$user" "$root" "$@"' inside "$root" $user "$@"
}

# serve_once: the server comes up on a free port, answers one chat request, and ends in order on SIGTERM.
serve_once() {
  local log=.cache/rootfs.log url="" server status=0 i
  inside /usr/local/bin/astro serve "/$share/models/astro-countdown" --port 0 >"$log" 2>&1 &
  local pid=$!
  trap 'kill -KILL $(children '"$pid"') 2>/dev/null || true' EXIT
  for ((i = 0; i < 300; i++)); do
    url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$log" | head -1)
    [[ -n $url ]] && break
    kill -0 "$pid" 2>/dev/null || fail "the server ended: $(tail -3 "$log")"
    sleep 0.2
  done
  [[ -n $url ]] || fail "the server did not say 'listening on' within 60 s: $(tail -3 "$log")"
  curl -fsS --max-time 60 "$url/v1/chat/completions" -H 'Content-Type: application/json' \
    -d '{"model":"astro-countdown","messages":[{"role":"user","content":"3 4 5 6 -> 18"}],"max_tokens":16}' | cut -c1-300
  echo
  (inside /usr/local/bin/astro probe --url "$url") || fail "astro probe, the image's health check, does not find the server ready"
  server=$(children "$pid")
  [[ $(awk '/^Uid:/{print $2}' "/proc/$server/status") == "$user" ]] || fail "the server does not run as user $user"
  kill -TERM "$server"
  wait "$pid" || status=$?
  ((status == 0)) || fail "the server ended with status $status on SIGTERM; want 0: $(tail -3 "$log")"
}

# children PID: the processes that it started.
children() { cat "/proc/$1/task/$1/children" 2>/dev/null | xargs; }

run_tests() {
  [[ $(id -u) == 0 ]] || fail "make rootfs-test needs root for chroot and mount; as another user, make rootfs alone lays out the folder"
  need unshare "it is in util-linux"
  need curl "it asks the server a question"
  say "as user $user on a read-only tree:"
  (inside /usr/local/bin/astro version)
  (inside /usr/local/bin/astro doctor)
  [[ -d $root/$share/models/astro-countdown ]] || fail "no demo model in $root/$share/models: train or check it out first"
  serve_once
  say "rootfs test passed"
}

case ${1:-} in
lay) lay "${2:?lay needs a folder}" ;;
lay-cuda) lay_cuda "${2:?lay-cuda needs a folder}" ;;
build) build ;;
test) run_tests ;;
*) fail "got '${1:-}'; want lay DIR, lay-cuda DIR, build or test" ;;
esac
