"""All four parties in one process, paying for real over a virtual radio, and a narrator that watches them."""
