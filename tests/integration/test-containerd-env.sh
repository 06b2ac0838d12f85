#!/bin/bash
# Two containerds side by side in folders of their own: they start fast, run containers with
# the example images and addresses of their own, and leave nothing, even when one was killed.
set -u
source "$(dirname "$0")/containerd-env.sh"
why=$(cenv_missing)
[ -z "$why" ] || { echo "1..0 # SKIP $why"; exit 0; }
cenv_isolate "$0" "$@"

dir=$(mktemp -d /tmp/cube-cenv-XXXXXX)
a=$dir/a b=$dir/b
n=0 failed=0
finish () {
  [ -e "$a/pid" ] && cenv_stop "$a"
  [ -e "$b/pid" ] && cenv_stop "$b"
  rm -rf "$dir"
}
trap finish EXIT

# check TEXT COMMAND...
check () {
  local text=$1 output; shift
  n=$((n + 1))
  if output=$("$@" 2>&1); then
    echo "ok $n - $text"
  else
    echo "not ok $n - $text"; failed=1
  fi
  [ -z "$output" ] || sed 's/^/# /' <<<"$output"
}
answers () { cenv_until 5 test "$(curl -sS -m 2 "http://$2:8080/")" = "$1" && [ "$(curl -sS -m 2 "http://$2:8080/")" = "$1" ]; }
container_runs () { cenv_run "$1" "$2" "$3" > "$1/$2.ip" && cenv_until 5 curl -sS -m 1 "http://$(cat "$1/$2.ip"):8080/healthz"; }
dies () { local pid; pid=$(cat "$1/pid"); kill -9 "$pid"; cenv_until 5 cenv_gone "$pid"; }
nothing_left () { cenv_stop "$1" && [ -z "$(cenv_leftovers "$1")" ]; }

echo 1..12
check "first containerd starts" cenv_start "$a" 1
check "second starts beside it" cenv_start "$b" 2
check "images are imported" cenv_import "$a"
check "images are imported a second time" cenv_import "$a"
check "images are imported into the second" cenv_import "$b"
check "a container runs in the first" container_runs "$a" web-a cube.local/web:v1
check "a container runs in the second" container_runs "$b" web-b cube.local/web:v2
check "the first answers with version and name" answers "web v1 web-a" "$(cat "$a/web-a.ip")"
check "the second answers with version and name" answers "web v2 web-b" "$(cat "$b/web-b.ip")"
check "the first ends and leaves nothing" nothing_left "$a"
check "the second is killed" dies "$b"
check "nothing is left of the second" nothing_left "$b"
exit $failed
