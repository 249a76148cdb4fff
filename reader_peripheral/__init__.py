"""The card reader: a BLE peripheral that reads the card, takes the PIN and seals both for the card's issuer."""
