"""What `handset-client` does beside running the phone."""
