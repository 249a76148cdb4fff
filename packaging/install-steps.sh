# shellcheck shell=bash disable=SC2034,SC2154 # what stands here is set there, and the other way round
# What install-issuer.sh and install-reader.sh do alike. They set what is theirs, then read this file:
#   account, state  who the service runs as, and the folder that is its own
#   unit, other     its systemd unit, and the one that may use the same programs on this machine
#   program         its command; extras: what it needs of the distribution
#   packages        Debian's; groups: what the account must be in
#   where           the systems that it is for, in words

# Root's programs are for the service's account as well, whatever umask the operator has.
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=/opt/blind-relay
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
  printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
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

check_system() {
  [ "$(uname -s)" = Linux ] || fail "this is not Linux. Use $where."
  command -v apt-get >/dev/null || fail "apt-get is missing. Use $where."
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
  if [ -n "$dry" ] && ! command -v python3 >/dev/null; then
    return
  fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old. Use $where."
}

make_account() {
  local group
  for group in "${groups[@]}"; do
    getent group "$group" >/dev/null || run groupadd --system "$group"
  done
  if ! getent passwd "$account" >/dev/null; then
    say "Account $account, without a login"
    run useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin "$account"
  fi
  if [ ${#groups[@]} -gt 0 ]; then
    # The unit names the groups too; what a person starts as this account runs without it.
    run usermod --append --groups "$(IFS=, && printf %s "${groups[*]}")" "$account"
  fi
  run install -d -m 0700 -o "$account" -g "$account" "$state"
}

# Exactly the versions of requirements.lock, as constraints: hashes and the development tools are left out.
constraints() { sed -n 's/^\([A-Za-z0-9._-]*==[^ \\]*\).*/\1/p' "$here/requirements.lock"; }

install_programs() {
  say "Programs in $home/venv (some minutes on a small machine)"
  run install -d -m 0755 "$home"
  # A new release of Debian brings a new Python, and the venv of the old one has no libraries for it.
  "$home/venv/bin/python" -c 'import pip' 2>/dev/null || run python3 -m venv --clear "$home/venv"
  if [ -n "$dry" ]; then
    say "  would run: $home/venv/bin/pip install --constraint ... ${here}[$extras]"
  else
    local wanted build
    wanted=$(mktemp) build=$(mktemp -d)
    constraints >"$wanted"
    # A copy is built: root leaves nothing behind in the clone.
    tar -C "$here" --exclude=./.venv --exclude=./.git --exclude=./build --exclude=./docs --exclude=./tests \
      --exclude='__pycache__' -cf - . | tar -C "$build" -xf -
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
      --no-binary=blind-relay --constraint "$wanted" --upgrade "blind-relay[$extras] @ file://$build"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "$build"
    rm -rf "$wanted" "$build"
  fi
  # What an earlier run made under a stricter umask.
  run chmod -R go+rX "$home/venv"
  # Commands that a person types act for the service: its account, its data and keys.
  run install -m 0755 "$here/packaging/$program" "/usr/local/bin/$program"
}

install_unit() {
  run install -m 0644 "$here/packaging/$unit" "/etc/systemd/system/$unit"
  if systemd_runs; then
    run systemctl daemon-reload
    run systemctl enable --quiet "$unit"
    # Does nothing until there is something to serve with: the unit has a condition.
    run systemctl restart "$unit" ||
      say "It does not start yet, and is tried again every few seconds. Why: sudo $program doctor"
  else
    say "systemd does not run here: the service is in place and not started"
    run install -d /etc/systemd/system/multi-user.target.wants
    run ln -sf "/etc/systemd/system/$unit" "/etc/systemd/system/multi-user.target.wants/$unit"
  fi
}

remove_programs() {
  if systemd_runs; then
    run systemctl disable --quiet --now "$unit" || true
  fi
  run rm -f "/etc/systemd/system/$unit" "/etc/systemd/system/multi-user.target.wants/$unit" \
    "/usr/local/bin/$program"
}

# Not before everything else of it is gone: notes of what to bring back lie there.
remove_home() {
  [ -e "/etc/systemd/system/$other" ] || run rm -rf "$home"
}
