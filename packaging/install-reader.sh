#!/usr/bin/env bash
# Makes this machine a card reader of Blind Relay: Raspberry Pi OS or Debian, 12 or later.
#
#   sudo packaging/install-reader.sh              install, or bring an installation up to date
#   sudo packaging/install-reader.sh --dry-run    only say what it would do (needs no root)
#   sudo packaging/install-reader.sh --remove     take the programs away; keys and settings stay
set -euo pipefail

account=blind-relay
state=/var/lib/blind-relay-reader
unit=blind-relay-reader.service
other=blind-relay-issuer.service
program=reader-peripheral
extras=reader
# bluetoothd; its bus; a venv; a font with kanji; i2cdetect, to find a display's address. Then what the reader's
# messages name, to find out who has a line or a device: gpioinfo, fuser.
packages=(bluez dbus python3 python3-venv fonts-misaki i2c-tools gpiod psmisc)
groups=(input i2c gpio bluetooth)
where="Raspberry Pi OS or Debian, 12 or later"
# shellcheck source-path=SCRIPTDIR source=install-steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/install-steps.sh"

settings=/etc/blind-relay/reader.toml
rules=70-blind-relay-reader.rules
# The login prompt on the machine's own screen, and the note that it was there before.
login=getty@tty1.service
login_wanted=/etc/systemd/system/getty.target.wants/$login
login_was_on=$home/tty1-had-a-login

check_machine() {
  check_system
  # Not uname -m: the 32-bit Raspberry Pi OS runs on a 64-bit kernel too.
  local architecture
  architecture=$(dpkg --print-architecture)
  case $architecture in
    arm64 | amd64) ;;
    *) fail "this system is $architecture. Use the 64-bit Raspberry Pi OS: some libraries have no 32-bit wheels." ;;
  esac
}

install_guide() {
  run install -d -m 0755 "$home/docs" "$home/docs/img"
  run install -m 0644 "$here/docs/pi.md" "$home/docs/pi.md"
  run install -m 0644 "$here"/docs/img/*.png "$home/docs/img/"
}

install_settings() {
  run install -d -m 0755 "$(dirname "$settings")"
  if [ ! -e "$settings" ]; then
    run install -m 0644 "$here/packaging/reader.toml" "$settings"
  fi
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
  if systemd_runs && [ -e /run/udev/control ]; then
    run udevadm control --reload
    run udevadm trigger --subsystem-match=hidraw --subsystem-match=i2c-dev --subsystem-match=gpio
  elif systemd_runs; then
    say "udev does not run here, as in a container: devices come with whatever rights they are given outside"
  fi
  install_unit
}

remove_all() {
  remove_programs
  run rm -f "/etc/udev/rules.d/$rules"
  give_login_back
  remove_home
  say "Removed. The reader's key is still in $state, its settings in $settings."
}

check_machine
if [ -n "$remove" ]; then
  remove_all
  exit 0
fi
install_packages
make_account
install_programs
install_guide
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
