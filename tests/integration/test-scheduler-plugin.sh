#!/bin/bash
# A scheduling policy comes, is replaced and goes while the cluster runs; broken ones are refused.
# usage: test-scheduler-plugin.sh CUBE SOURCE-DIR UNINSTALLED-PKG-CONFIG-DIR
set -u
cube=$1 source=$2/examples/scheduler-policy/my-policy.c
export PKG_CONFIG_PATH=$3
command -v kubectl >/dev/null || { echo '1..0 # SKIP kubectl is not installed'; exit 0; }
dir=$(mktemp -d) n=0 failed=0
finish () { "$cube" down --data-dir "$dir/data" >/dev/null 2>&1; rm -rf "$dir"; }
trap finish EXIT
check () { # check NAME COMMAND…
  local name=$1; shift; n=$((n + 1))
  if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; failed=1; fi
}
eventually () { # tries for 20 s
  local until=$((SECONDS + 20))
  until "$@"; do [ $SECONDS -lt $until ] || return 1; read -rt 0.1 <> <(:) || :; done
}
build () { # build FILE FLAGS…
  local out=$1; shift
  cc -shared -fPIC -o "$out" "$@" "$source" $(pkg-config --cflags --libs cube)
}
drop () { cp "$1" "$dir/data/plugins/.new" && mv "$dir/data/plugins/.new" "$dir/data/plugins/$2"; }
listed () { "$cube" plugins --data-dir "$dir/data" | grep -Eq "$1"; }
not_listed () { ! listed "$1"; }
node_of () { kubectl get pod "$1" -o 'jsonpath={.spec.nodeName}'; }
runs_on () { [ "$(node_of "$1")" = "$2" ]; }
pods () { # pods PREFIX NODE: three pods, each must go there
  local i
  for i in 1 2 3; do kubectl run "$1$i" --image=x --restart=Never >/dev/null || return 1; done
  for i in 1 2 3; do eventually runs_on "$1$i" "$2" || { kubectl get pods -o wide; return 1; }; done
}
message_says () { "$cube" plugins --data-dir "$dir/data" | grep -A2 broken | grep -Eq "$1"; }

check 'the policy builds outside the tree' build "$dir/one.so"
check 'and a newer one' build "$dir/two.so" -DPACK_LAST
"$cube" up --runtime sim --sim-nodes 2 --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/up.log" 2>&1 || { cat "$dir/up.log"; echo 'Bail out! no cluster'; exit 1; }
export KUBECONFIG=$dir/data/admin.kubeconfig
kubectl run before --image=x --restart=Never >/dev/null
check 'a pod runs before' eventually eval '[ "$(kubectl get pod before -o "jsonpath={.status.phase}")" = Running ]'
drop "$dir/one.so" my-policy.so
check 'the policy is loaded' eventually listed 'my-policy +1 +healthy'
check 'pods follow it' pods first sim-node-0
kubectl label node sim-node-1 disk=fast >/dev/null
kubectl run drawn --image=x --restart=Never --annotations=my-policy.example/prefer=disk=fast >/dev/null
check 'an annotation draws a pod' eventually runs_on drawn sim-node-1
drop "$dir/two.so" my-policy.so
check 'the newer build takes over' eventually listed 'my-policy +2 +healthy'
check 'pods follow the newer build' pods second sim-node-1
echo 'no shared object' >"$dir/broken.so"
drop "$dir/broken.so" broken.so
check 'a broken file is refused with a sentence' eventually message_says '[a-z]+ [a-z]+'
check 'and nothing else suffers' pods third sim-node-1
rm "$dir/data/plugins/my-policy.so"
check 'the policy goes with its file' eventually not_listed 'my-policy'
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do kubectl run last$i --image=x --restart=Never >/dev/null; done
# The newer build would have sent all twelve to sim-node-1.
some_on () { kubectl get pods -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}' | grep -q "^last.* $1$"; }
check 'without it pods go by use again' eventually some_on sim-node-0
running () { [ "$(kubectl get pods --no-headers | grep -vc Running)" = 0 ]; }
check 'no pod was lost' eventually running
check 'none twice' [ "$(kubectl get pods --no-headers | wc -l)" = 23 ]
echo "1..$n"
exit $failed
