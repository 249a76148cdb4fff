#!/usr/bin/env bash
# Makes this machine a card issuer of Blind Relay: Debian 12 or later.
#
#   sudo packaging/install-issuer.sh              install, or bring an installation up to date
#   sudo packaging/install-issuer.sh --dry-run    only say what it would do (needs no root)
#   sudo packaging/install-issuer.sh --remove     take the programs away; keys, data and settings stay
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=/opt/blind-relay
state=/var/lib/blind-relay-issuer
account=blind-relay-issuer
unit=blind-relay-issuer.service
packages=(python3 python3-venv)

dry=
remove=
for argument in "$@"; do
  case $argument in
    --dry-run) dry=1 ;;
    --remove) remove=1 ;;
    *)
      echo "usage: $0 [--dry-run] [--remove]" >&2
      exit 2
      ;;
  esac
done

say() { printf '%s\n' "$*"; }

fail() {
  printf 'install-issuer: %s\n' "$*" >&2
  exit 1
}

# Carries a command out, or only shows it.
run() {
  if [ -n "$dry" ]; then
    printf '  would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# Whether systemd manages this machine: not in a container, not while an image is being made.
systemd_runs() { [ -d /run/systemd/system ]; }

check_machine() {
  [ "$(uname -s)" = Linux ] || fail "this is not Linux. For trying it out: make setup, then .venv/bin/issuer-server."
  command -v apt-get >/dev/null || fail "apt-get is missing. Use Debian 12 or later, or follow docs/issuer-operations.md by hand."
  [ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "run it with sudo, or look first with --dry-run"
}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    say "Debian packages: ${missing[*]}"
    run apt-get update -q
    run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
  fi
}

make_account() {
  if ! getent passwd "$account" >/dev/null; then
    say "Account $account, without a login"
    run useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin "$account"
  fi
  run install -d -m 0700 -o "$account" -g "$account" "$state"
}

# Exactly the versions of requirements.lock, as constraints: hashes and the development tools are left out.
constraints() { sed -n 's/^\([A-Za-z0-9._-]*==[^ \\]*\).*/\1/p' "$here/requirements.lock"; }

install_programs() {
  say "Programs in $home/venv"
  run install -d -m 0755 "$home" "$home/docs"
  run install -m 0644 "$here/docs/issuer-operations.md" "$home/docs/issuer-operations.md"
  [ -x "$home/venv/bin/python" ] || run python3 -m venv "$home/venv"
  if [ -n "$dry" ]; then
    say "  would run: $home/venv/bin/pip install --constraint ... ${here}[issuer,tracing]"
  else
    local wanted build
    wanted=$(mktemp) build=$(mktemp -d)
    constraints >"$wanted"
    # A copy is built: root leaves nothing behind in the clone.
    tar -C "$here" --exclude=./.venv --exclude=./.git --exclude='__pycache__' -cf - . | tar -C "$build" -xf -
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
      --no-binary=blind-relay --constraint "$wanted" --upgrade "blind-relay[issuer,tracing] @ file://$build"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "$build"
    rm -rf "$wanted" "$build"
  fi
  # Commands that a person types act for the service: its account, its data.
  run install -m 0755 "$here/packaging/issuer-server" /usr/local/bin/issuer-server
}

install_service() {
  run install -m 0644 "$here/packaging/$unit" "/etc/systemd/system/$unit"
  if systemd_runs; then
    run systemctl daemon-reload
    run systemctl enable --quiet "$unit"
    # Does nothing until `issuer-server init`: the unit has a condition.
    run systemctl restart "$unit"
  else
    say "systemd does not run here: the service is in place and not started"
    run install -d /etc/systemd/system/multi-user.target.wants
    run ln -sf "/etc/systemd/system/$unit" "/etc/systemd/system/multi-user.target.wants/$unit"
  fi
}

remove_all() {
  if systemd_runs; then
    run systemctl disable --quiet --now "$unit" || true
  fi
  run rm -f "/etc/systemd/system/$unit" "/etc/systemd/system/multi-user.target.wants/$unit" \
    /usr/local/bin/issuer-server
  # A reader on the same machine lives in the same place.
  [ -e /etc/systemd/system/blind-relay-reader.service ] || run rm -rf "$home"
  say "Removed. Keys, database and settings are still in $state."
}

check_machine
if [ -n "$remove" ]; then
  remove_all
  exit 0
fi
install_packages
make_account
install_programs
install_service
cat <<DONE

Next:
  sudo issuer-server init --issuer-id bank.example    then look at $state/issuer.toml
  sudo systemctl restart ${unit%.service}
  sudo issuer-server doctor                           if anything does not work
DONE
