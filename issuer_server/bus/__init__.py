"""How the replica that holds a phone's socket and the replica that owns a payment talk."""
