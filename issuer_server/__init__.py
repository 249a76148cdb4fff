"""The issuer: the host computer of the patent. Decides payments, keeps the cards, the PINs and the ledger."""
