"""What an operator sees of the issuer: health, metrics, logs, traces, `top`, doctor."""
