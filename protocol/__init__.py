"""What the four parties of Blind Relay share: messages, signing, sealing, framing, track data. No I/O, no clock."""
