"""The subcommands of `issuer-server`, one module a subject."""
