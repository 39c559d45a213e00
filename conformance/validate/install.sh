#!/bin/sh
# Installs the validators and FHIR clients that are not ours, by name and pinned version, outside the repository.
# usage: install.sh [TOOLS_DIR]      default: $TAUTLINE_VALIDATORS, else ~/.cache/tautline-validators
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=${1:-${TAUTLINE_VALIDATORS:-$HOME/.cache/tautline-validators}}
mkdir -p "$tools"
pins=$(cat "$here/package.json" "$here/requirements.txt")
[ "$(cat "$tools/installed" 2>/dev/null || true)" = "$pins" ] && exit 0
rm -rf "$tools/python" "$tools/layout"
python3 -m venv "$tools/python"
"$tools/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/package.json" "$tools/"
(cd "$tools" && npm install --silent --no-audit --no-fund)
printf '%s\n' "$pins" > "$tools/installed"
