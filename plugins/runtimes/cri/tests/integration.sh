#!/bin/bash
# Runs PROGRAM against a containerd of its own, in namespaces of its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../../../tests/integration/containerd-env.sh"
why=$(cenv_missing)
[ -z "$why" ] || { echo "skipped: $why"; exit 77; }
cenv_isolate "$0" "$@"
dir=$(mktemp -d /tmp/cri.XXXXXX)
status=0
cenv_start "$dir" 1
cenv_import "$dir"
CRI_TEST_DIR=$dir CRI_TEST_CGROUP=/$(cenv_cgroup "$dir") "$@" || status=$?
cenv_stop "$dir" || status=1
rm -rf "$dir"
exit $status
