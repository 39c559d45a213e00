#!/bin/sh
# Validates folders or files of resources with two validators that are not ours.
# usage: run.sh TOOLS_DIR PATH…      TOOLS_DIR: where the tools are installed, outside the repository
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: run.sh TOOLS_DIR PATH…" >&2; exit 2; }
mkdir -p "$1"
tools=$(cd "$1" && pwd)
shift
if [ ! -d "$tools/python" ]; then
  python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install -q -r "$here/requirements.txt"
fi
if [ ! -d "$tools/node_modules" ]; then
  cp "$here/package.json" "$tools/"
  (cd "$tools" && npm install --silent --no-audit --no-fund)
fi
# Node looks for packages beside the script, so the scripts go beside the packages.
cp "$here"/*.mjs "$tools/"
[ -d "$tools/layout/r4" ] && rm -rf "$tools/layout/ours"
node "$tools/layout.mjs" "$here/.." "$tools/layout"
failed=0
node "$tools/medplum.mjs" "$tools/layout" "$@" || failed=1
"$tools/python/bin/python" "$here/pyrofile.py" "$tools/layout" "$@" || failed=1
# A validator that refuses nothing proves nothing.
node "$tools/medplum.mjs" "$tools/layout" --refuse "$here/wrong/both" "$here/wrong/medplum" || failed=1
"$tools/python/bin/python" "$here/pyrofile.py" "$tools/layout" --refuse "$here/wrong/both" "$here/wrong/pyrofile" || failed=1
exit $failed
