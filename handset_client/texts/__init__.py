"""Everything the phone says to its owner, in each language; terminal and page take it from here."""
