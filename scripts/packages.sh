#!/bin/bash
# Installs the Debian or Ubuntu packages that running or testing needs, if some are missing; says which and why.
# Usage: packages.sh run|test
set -euo pipefail

missing=() why=()
need() { # need PACKAGE REASON TEST...: the package is missing if the test fails
    local package=$1 reason=$2
    shift 2
    "$@" >/dev/null 2>&1 || { missing+=("$package"); why+=("$package ($reason)"); }
}
program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }
postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
fonts() { compgen -G '/usr/share/fonts/truetype/dejavu/*.ttf'; }
browser() { program chromium || compgen -G "$HOME/.cache/ms-playwright/chromium-*"; }

need python3-venv "Roadstead's own environment" /usr/bin/python3 -c 'import ensurepip, venv'
need ca-certificates "to check whom packages come from" test -s /etc/ssl/certs/ca-certificates.crt
if [ "$1" = test ]; then
    need postgresql "a real ledger to test with" postgres
    need docker.io "a real dockerd to start servers in" program dockerd
    need containerd "for dockerd" program containerd
    need runc "for dockerd" program runc
    need iproute2 "network namespaces as remote sites" program ip
    need iptables "for dockerd" program iptables
    need nftables "to cut networks" program nft
    need procps "to look at processes" program ps
    need util-linux "to act as other accounts" program setpriv
    need slurmctld "a real Slurm to start jobs in" program slurmctld
    need slurmd "nodes for Slurm" program slurmd
    need slurmdbd "accounting for Slurm" program slurmdbd
    need slurm-client "to speak to Slurm" program sbatch
    need munge "for Slurm" program munged
    need mariadb-server "for accounting" program mariadbd
    need sudo "to act as a job's account" program sudo
    need fonts-dejavu-core "text in screenshots" fonts
    # Ubuntu's package is a snap, which does not run everywhere; there the Makefile asks Playwright for its own.
    grep -q '^ID=ubuntu' /etc/os-release || need chromium "a real browser" browser
fi

[ ${#missing[@]} -gt 0 ] || exit 0
printf 'Installing with apt: %s.\n' "$(printf '%s, ' "${why[@]}" | sed 's/, $//')"
as_root=()
if [ "$(id -u)" != 0 ]; then
    program sudo >/dev/null || { echo "There is no sudo here: install ${missing[*]} as root, then call make again." >&2; exit 1; }
    as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
