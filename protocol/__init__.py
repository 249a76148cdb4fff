"""What the four parties share: messages, signing, sealing, framing, track data. No I/O, no clock."""
