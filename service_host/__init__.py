"""The machine that a program runs on: its disk, its systemd, what its `doctor` finds. It knows no party."""
