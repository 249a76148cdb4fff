#!/usr/bin/env bash
# Makes this machine a card reader of Blind Relay: Raspberry Pi OS or Debian, 12 or later.
#
#   sudo packaging/install-reader.sh              install, or bring an installation up to date
#   sudo packaging/install-reader.sh --dry-run    only say what it would do (needs no root)
#   sudo packaging/install-reader.sh --remove     take the programs away; keys and settings stay
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=/opt/blind-relay
state=/var/lib/blind-relay-reader
settings=/etc/blind-relay/reader.toml
account=blind-relay
unit=blind-relay-reader.service
rules=70-blind-relay-reader.rules
# The login prompt on the machine's own screen, and the note that it was there before.
login=getty@tty1.service
login_wanted=/etc/systemd/system/getty.target.wants/$login
login_was_on=$home/tty1-had-a-login
# bluetoothd; its bus; a venv; a font with kanji; i2cdetect, to find a display's address. Then what the reader's
# messages name, to find out who has a line or a device: gpioinfo, fuser.
packages=(bluez dbus python3 python3-venv fonts-misaki i2c-tools gpiod psmisc)
groups=(input i2c gpio bluetooth)

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
  printf 'install-reader: %s\n' "$*" >&2
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
  [ "$(uname -s)" = Linux ] || fail "this is not Linux. A reader needs Raspberry Pi OS or Debian."
  command -v apt-get >/dev/null || fail "apt-get is missing. Use Raspberry Pi OS or Debian, 12 or later."
  # Not uname -m: the 32-bit Raspberry Pi OS runs on a 64-bit kernel too.
  local architecture
  architecture=$(dpkg --print-architecture)
  case $architecture in
    arm64 | amd64) ;;
    *) fail "this system is $architecture. Use the 64-bit Raspberry Pi OS: some libraries have no 32-bit wheels." ;;
  esac
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

check_python() {
  if [ -n "$dry" ] && ! command -v python3 >/dev/null; then
    return
  fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old. Use Raspberry Pi OS or Debian, 12 or later."
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
  # The unit names the groups too; doctor and test-display run as this account without it.
  run usermod --append --groups "$(IFS=, && printf %s "${groups[*]}")" "$account"
}

# Exactly the versions of requirements.lock, as constraints: hashes and the development tools are left out.
constraints() { sed -n 's/^\([A-Za-z0-9._-]*==[^ \\]*\).*/\1/p' "$here/requirements.lock"; }

install_programs() {
  say "Programs in $home/venv (some minutes on a small Pi)"
  run install -d -m 0755 "$home" "$home/docs" "$home/docs/img"
  run install -m 0644 "$here/docs/pi.md" "$home/docs/pi.md"
  run install -m 0644 "$here"/docs/img/*.png "$home/docs/img/"
  # A new release of Debian brings a new Python, and the venv of the old one has no libraries for it.
  "$home/venv/bin/python" -c 'import pip' 2>/dev/null || run python3 -m venv --clear "$home/venv"
  if [ -n "$dry" ]; then
    say "  would run: $home/venv/bin/pip install --constraint ... ${here}[reader]"
  else
    local wanted build
    wanted=$(mktemp) build=$(mktemp -d)
    constraints >"$wanted"
    # A copy is built: root leaves nothing behind in the clone.
    tar -C "$here" --exclude=./.venv --exclude=./.git --exclude=./build --exclude=./docs --exclude=./tests \
      --exclude='__pycache__' -cf - . | tar -C "$build" -xf -
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
      --no-binary=blind-relay --constraint "$wanted" --upgrade "blind-relay[reader] @ file://$build"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall "$build"
    rm -rf "$wanted" "$build"
  fi
  # Commands that a person types act for the service: its account, its keys.
  run install -m 0755 "$here/packaging/reader-peripheral" /usr/local/bin/reader-peripheral
}

install_settings() {
  run install -d -m 0755 "$(dirname "$settings")"
  if [ ! -e "$settings" ]; then
    run install -m 0644 "$here/packaging/reader.toml" "$settings"
  fi
  run install -d -m 0700 -o "$account" -g "$account" "$state"
}

# What a swiper types while nobody has grabbed it goes to the screen in front: when the machine starts, when the
# service is stopped or starts anew, and for half a second after plugging in. No login prompt shall take it there.
take_login_off() {
  if [ ! -e "$login_wanted" ]; then
    return
  fi
  if [ -e "$login_was_on" ]; then
    say "The login prompt on this machine's own screen (tty1) was switched on again, and stays. A swipe may be typed into it."
    return
  fi
  say "No login prompt on this machine's own screen (tty1) any more: it would take what is swiped while the reader"
  say "does not run. Alt-F2 has another. To have it back: sudo systemctl enable --now ${login%.service}"
  run touch "$login_was_on"
  if ! systemd_runs; then
    run rm -f "$login_wanted"
  elif loginctl list-sessions --no-legend 2>/dev/null | grep -qw tty1; then
    run systemctl disable --quiet "$login"
    say "Somebody is logged in there now. Log out and restart the machine when you can: until then it is as it was."
  else
    run systemctl disable --quiet --now "$login"
  fi
}

give_login_back() {
  if [ ! -e "$login_was_on" ]; then
    return
  fi
  say "The login prompt on this machine's own screen (tty1) is back."
  if systemd_runs; then
    run systemctl enable --quiet --now "$login" || true
  else
    run ln -sf /lib/systemd/system/getty@.service "$login_wanted"
  fi
  run rm -f "$login_was_on"
}

install_service() {
  run install -m 0644 "$here/packaging/$rules" "/etc/udev/rules.d/$rules"
  run install -m 0644 "$here/packaging/$unit" "/etc/systemd/system/$unit"
  if systemd_runs; then
    if [ -e /run/udev/control ]; then
      run udevadm control --reload
      run udevadm trigger --subsystem-match=hidraw --subsystem-match=i2c-dev --subsystem-match=gpio
    else
      say "udev does not run here, as in a container: devices come with whatever rights they are given outside"
    fi
    run systemctl daemon-reload
    run systemctl enable --quiet "$unit"
    # Does nothing until the reader is enrolled: the unit has a condition.
    run systemctl restart "$unit" ||
      say "The reader does not start yet, and is tried again every few seconds. Why: sudo reader-peripheral doctor"
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
    "/etc/udev/rules.d/$rules" /usr/local/bin/reader-peripheral
  give_login_back
  # An issuer on the same machine lives in the same place.
  [ -e /etc/systemd/system/blind-relay-issuer.service ] || run rm -rf "$home"
  say "Removed. The reader's key is still in $state, its settings in $settings."
}

check_machine
if [ -n "$remove" ]; then
  remove_all
  exit 0
fi
install_packages
check_python
make_account
install_programs
install_settings
take_login_off
install_service
cat <<DONE

Next:
  sudo reader-peripheral learn           which device is the swiper, which the keypad
  sudo reader-peripheral test-display    after setting [display] in $settings
  sudo reader-peripheral enrol           with a code from the issuer
  sudo systemctl restart ${unit%.service}
  sudo reader-peripheral doctor          if anything does not work
DONE
