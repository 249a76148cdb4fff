"""The card reader: a BLE peripheral that reads card and PIN and seals both for the card's issuer."""
