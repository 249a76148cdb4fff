#!/usr/bin/env bash
# Makes this machine a card issuer of Blind Relay: Debian 12 or later.
#
#   sudo packaging/install-issuer.sh              install, or bring an installation up to date
#   sudo packaging/install-issuer.sh --dry-run    only say what it would do (needs no root)
#   sudo packaging/install-issuer.sh --remove     take the programs away; keys, data and settings stay
set -euo pipefail

account=blind-relay-issuer
state=/var/lib/blind-relay-issuer
unit=blind-relay-issuer.service
other=blind-relay-reader.service
program=issuer-server
extras=issuer,tracing
packages=(python3 python3-venv)
groups=()
where="Debian 12 or later; elsewhere follow docs/issuer-operations.md by hand"
# shellcheck source-path=SCRIPTDIR source=install-steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/install-steps.sh"

install_guide() {
  run install -d -m 0755 "$home/docs"
  run install -m 0644 "$here/docs/issuer-operations.md" "$here/docs/issuer-keys.md" "$here/docs/merchant-api.md" "$home/docs"
}

remove_all() {
  remove_programs
  remove_home
  say "Removed. Keys, database and settings are still in $state."
}

check_system
if [ -n "$remove" ]; then
  remove_all
  exit 0
fi
install_packages
make_account
install_programs
install_guide
install_unit
cat <<DONE

Next:
  sudo issuer-server init --issuer-id bank.example    then look at $state/issuer.toml
  sudo systemctl restart ${unit%.service}
  sudo issuer-server doctor                           if anything does not work
DONE
