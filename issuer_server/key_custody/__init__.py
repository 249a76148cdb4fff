"""Where the issuer keeps its long-term keys, how they are opened, sealed and rotated."""
