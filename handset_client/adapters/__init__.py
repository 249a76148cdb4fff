"""One file for each thing outside: Bluetooth, the issuer's socket, the terminal, the files."""
