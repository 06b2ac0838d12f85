# shellcheck shell=bash
# A containerd of one's own for an integration test. Source it:
#
#   source containerd-env.sh
#   cenv_isolate "$0" "$@"          # own network, mount and process namespaces from here on
#   cenv_start DIR 1                # containerd, CNI configuration, socket DIR/containerd.sock
#   cenv_import DIR                 # the example images
#   ip=$(cenv_run DIR pod-1 cube.local/web:v1)
#   cenv_stop DIR                   # ends it; fails when anything of it is left
#
# All of it lives below DIR. Nothing is shared with another DIR beside it, except what the
# programs have compiled in: shim sockets in /run/containerd/s, CNI results in /var/lib/cni.

cenv_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cenv_cni_bin=${CNI_BIN:-/usr/lib/cni}

# Starts SCRIPT again in namespaces of its own, once. Links, routes, packet rules, mounts and
# processes made in there end with it, however it ends.
cenv_isolate () {
  if [ "${CENV_ISOLATED:-}" = 1 ]; then
    ip link set lo up
    mkdir -p /run/containerd /var/lib/cni
    mount -t tmpfs -o mode=0755 cenv /run/containerd
    mount -t tmpfs -o mode=0700 cenv /var/lib/cni
    return
  fi
  CENV_ISOLATED=1 exec unshare --mount --net --pid --fork --kill-child --mount-proc -- "$@"
}

# Why this machine cannot run containers; nothing when it can.
cenv_missing () {
  [ "$(id -u)" = 0 ] || { echo "needs root"; return; }
  local program
  for program in containerd ctr runc ip jq unshare; do
    command -v $program >/dev/null || { echo "$program is not installed (tools/setup)"; return; }
  done
  [ -x "$cenv_cni_bin/bridge" ] || echo "no CNI plugins in $cenv_cni_bin (tools/setup)"
}

# cenv_until SECONDS COMMAND...: tries until it succeeds; 1 when the time is over.
cenv_until () {
  local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000)); shift
  until "$@" >/dev/null 2>&1; do
    [ "${EPOCHREALTIME/[.,]/}" -lt $end ] || return 1
    sleep 0.01
  done
}

cenv_ctr () { local dir=$1; shift; ctr --address "$dir/containerd.sock" --namespace k8s.io "$@"; }

# cenv_fill TEMPLATE NAME=VALUE...
cenv_fill () {
  local text pair
  text=$(cat "$1"); shift
  for pair; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
  printf '%s\n' "$text"
}

# cenv_configure DIR INDEX: two DIRs side by side want two INDEXes (1 to 254).
cenv_configure () {
  local dir=$1 index=$2
  mkdir -p "$dir/root" "$dir/state" "$dir/cni" "$dir/log"
  cenv_fill "$cenv_top/tools/containerd/config.toml.in" ROOT="$dir/root" STATE="$dir/state" \
    SOCKET="$dir/containerd.sock" CNI_BIN="$cenv_cni_bin" CNI_CONF="$dir/cni" \
    SANDBOX_IMAGE=cube.local/pause:1 > "$dir/config.toml"
  cenv_fill "$cenv_top/tools/containerd/cni.conflist.in" NETWORK="cenv-$index" BRIDGE="cenv$index" \
    CNI_STATE="$dir/cni-state" SUBNET="10.231.$index.0/24" > "$dir/cni/10-cube.conflist"
  echo "$index" > "$dir/index"
}

# cenv_start DIR [INDEX]: returns when containerd answers; says how long that took.
cenv_start () {
  local dir=$1 begin=${EPOCHREALTIME/[.,]/} pid
  [ -e "$dir/config.toml" ] || cenv_configure "$dir" "${2:-1}"
  setsid containerd --config "$dir/config.toml" >>"$dir/log/containerd.log" 2>&1 </dev/null &
  pid=$!
  disown $pid
  echo $pid > "$dir/pid"
  if ! cenv_until 10 test -S "$dir/containerd.sock" || ! cenv_until 10 cenv_ctr "$dir" version; then
    echo "containerd in $dir does not answer:" >&2
    tail -n 20 "$dir/log/containerd.log" >&2
    return 1
  fi
  echo "containerd answers after $(((${EPOCHREALTIME/[.,]/} - begin) / 1000)) ms," \
       "resident $(awk '/^VmRSS/ { print $2 }' /proc/$pid/status) kB"
}

cenv_import () { "$cenv_top/tools/images" --quiet --output "${CENV_IMAGES:-$cenv_top/build/images}" --import --address "$1/containerd.sock"; }

# cenv_cni DIR ADD|DEL NAME: runs the plugins of DIR's network on DIR's namespace NAME; ADD prints the address.
cenv_cni () {
  local dir=$1 command=$2 name=$3 list=$1/cni/10-cube.conflist n i order result='null' conf
  n=$(jq '.plugins | length' "$list")
  order=$(seq 0 $((n - 1)))
  [ "$command" = ADD ] || order=$(seq $((n - 1)) -1 0)
  for i in $order; do
    conf=$(jq -c --argjson i "$i" --argjson previous "$result" \
      '.plugins[$i] + { name, cniVersion } + if $previous then { prevResult: $previous } else {} end' "$list")
    result=$(CNI_COMMAND=$command CNI_CONTAINERID=$name CNI_NETNS=$dir/netns/$name CNI_IFNAME=eth0 \
      CNI_PATH=$cenv_cni_bin "$cenv_cni_bin/$(jq -r '.type' <<<"$conf")" <<<"$conf") || { echo "$result" >&2; return 1; }
    [ -n "$result" ] || result=null
  done
  if [ "$command" = ADD ]; then jq -r '.ips[0].address | sub("/.*"; "")' <<<"$result"; fi
}

# The cgroup above DIR's containers; cgroups are not of the namespaces of cenv_isolate.
cenv_cgroup () { echo "cenv-$(cksum <<<"$1" | cut -d' ' -f1)"; }

# cenv_run DIR NAME IMAGE [ARG...]: a container with a network of its own; prints its address.
cenv_run () {
  local dir=$1 name=$2 image=$3; shift 3
  mkdir -p "$dir/netns" "$dir/uts"
  touch "$dir/netns/$name" "$dir/uts/$name"
  unshare --net="$dir/netns/$name" --uts="$dir/uts/$name" \
    sh -c "ip link set lo up && echo $name > /proc/sys/kernel/hostname" || return 1
  cenv_cni "$dir" ADD "$name" || return 1
  cenv_ctr "$dir" run -d --runc-root "$dir/state/runc" --with-ns "network:$dir/netns/$name" --with-ns "uts:$dir/uts/$name" \
    --cgroup "/$(cenv_cgroup "$dir")/$name" "$image" "$name" "$@" >&2
}

# cenv_remove DIR NAME
cenv_remove () {
  local dir=$1 name=$2
  cenv_ctr "$dir" task kill -s SIGKILL "$name" >/dev/null 2>&1
  cenv_until 5 cenv_ctr "$dir" task rm "$name" || true
  cenv_ctr "$dir" container rm "$name" >/dev/null 2>&1
  if [ -e "$dir/netns/$name" ]; then
    cenv_cni "$dir" DEL "$name" || true
    umount "$dir/netns/$name" "$dir/uts/$name" 2>/dev/null
    rm -f "$dir/netns/$name" "$dir/uts/$name"
  fi
}

# cenv_leftovers DIR: what of DIR's containerd is still in the system, one line each.
cenv_leftovers () {
  local dir=$1 index
  index=$(cat "$dir/index")
  awk -v dir="$dir/" 'index($5, dir) == 1 { print "mount " $5 }' /proc/self/mountinfo
  ps -eo pid=,args= | grep -F -- "$dir/" | grep -E '[0-9] (/[^ ]*/)?containerd' | sed 's/^/process /'
  ip -o link show 2>/dev/null | grep -F " cenv$index:" | sed 's/^/link /'
  find /sys/fs/cgroup -maxdepth 2 -type d -name "$(cenv_cgroup "$dir")" 2>/dev/null | sed 's/^/cgroup /'
  ls -d "/var/lib/cni/results/cenv-$index-"* 2>/dev/null | sed 's/^/file /'
}

# cenv_end_process PID: SIGTERM, and SIGKILL after five seconds.
cenv_end_process () {
  kill "$1" 2>/dev/null || return 0
  cenv_until 5 cenv_gone "$1" || kill -9 "$1" 2>/dev/null
  cenv_until 5 cenv_gone "$1"
}
cenv_gone () { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

# The shims whose containerd has DIR's socket.
cenv_shims () {
  ps -eo pid=,args= | awk -v socket="$1/containerd.sock" '$2 ~ /containerd-shim/ && index($0, "-address " socket) { print $1 }'
}

# cenv_stop DIR: ends containers and containerd, also when that has died, and takes away what
# they leave: mounts, namespaces, the bridge, cgroups. Fails, with a list, when something stays.
cenv_stop () {
  local dir=$1 name pid left index mount
  index=$(cat "$dir/index")
  pid=$(cat "$dir/pid")
  if ! cenv_gone "$pid"; then
    for name in $(cenv_ctr "$dir" container ls -q); do cenv_remove "$dir" "$name"; done
    cenv_end_process "$pid"
  fi
  # What a containerd that died has left running: a shim's containers end with its runc state.
  if [ -d "$dir/state/runc/k8s.io" ]; then
    for name in $(runc --root "$dir/state/runc/k8s.io" list -q 2>/dev/null); do
      runc --root "$dir/state/runc/k8s.io" delete --force "$name"
    done
  fi
  for pid in $(cenv_shims "$dir"); do cenv_end_process "$pid"; done
  for name in "$dir"/netns/*; do
    if [ -e "$name" ]; then cenv_cni "$dir" DEL "${name##*/}" || true; fi
  done
  while mount=$(awk -v dir="$dir/" 'index($5, dir) == 1 { m = $5 } END { print m }' /proc/self/mountinfo) && [ -n "$mount" ]; do
    umount -l "$mount" || break
  done
  rm -rf "$dir/netns" "$dir/uts"
  ip link delete "cenv$index" 2>/dev/null
  find /sys/fs/cgroup/"$(cenv_cgroup "$dir")" /sys/fs/cgroup/*/"$(cenv_cgroup "$dir")" -depth -type d -exec rmdir {} \; 2>/dev/null
  rm -f "/var/lib/cni/results/cenv-$index-"*
  left=$(cenv_leftovers "$dir")
  [ -z "$left" ] || { echo "left behind by containerd in $dir:" >&2; echo "$left" >&2; return 1; }
}
