"""The merchant's terminal: asks the issuer to charge a phone, waits, prints a receipt."""
