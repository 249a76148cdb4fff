"""The phone: carries every byte between the reader and the issuer, and can read none of them."""
