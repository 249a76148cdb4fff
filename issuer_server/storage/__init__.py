"""Where the issuer keeps what must survive a crash: `port` says what, an adapter a database says how."""
