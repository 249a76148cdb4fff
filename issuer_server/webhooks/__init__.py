"""What a merchant is told by Standard Webhooks, and how it is brought there."""
