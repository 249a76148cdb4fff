"""The machine that a program serves on: what systemd is told, what its `doctor` finds. It knows no party."""
