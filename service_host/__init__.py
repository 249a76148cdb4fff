"""The machine that a program runs on: disk, terminal, systemd, what its `doctor` finds. It knows no party."""
