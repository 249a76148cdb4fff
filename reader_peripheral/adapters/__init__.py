"""One vendor library, one file. Only cli.py, which wires the program, names anything in here."""
