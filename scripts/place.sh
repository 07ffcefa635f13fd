#!/bin/bash
# Prints the folder for the environment and everything else that is built: this checkout, or /opt/roadstead where root
# works in a checkout that the accounts which Roadstead starts servers for could not read, or that belongs to somebody.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [ "$(id -u)" = 0 ] && ! { [ "$(stat -c %u "$here")" = 0 ] &&
    setpriv --reuid=65534 --regid=65534 --clear-groups test -r "$here/Makefile"; }; then
    echo /opt/roadstead
else
    echo "$here"
fi
