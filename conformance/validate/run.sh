#!/bin/sh
# Validates folders or files of resources with two validators that are not ours.
# usage: run.sh TOOLS_DIR PATH…      TOOLS_DIR: where install.sh puts the tools, outside the repository
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: run.sh TOOLS_DIR PATH…" >&2; exit 2; }
sh "$here/install.sh" "$1"
tools=$(cd "$1" && pwd)
shift
# Node looks for packages beside the script, so the scripts go beside the packages.
cp "$here"/*.mjs "$tools/"
[ -d "$tools/layout/r4" ] && rm -rf "$tools/layout/ours"
node "$tools/layout.mjs" "$tools/layout" "$here/.." "$here/../../profiles"
failed=0
node "$tools/medplum.mjs" "$tools/layout" "$@" || failed=1
"$tools/python/bin/python" "$here/pyrofile.py" "$tools/layout" "$@" || failed=1
# A validator that refuses nothing proves nothing.
node "$tools/medplum.mjs" "$tools/layout" --refuse "$here/wrong/both" "$here/wrong/medplum" || failed=1
"$tools/python/bin/python" "$here/pyrofile.py" "$tools/layout" --refuse "$here/wrong/both" "$here/wrong/pyrofile" || failed=1
exit $failed
