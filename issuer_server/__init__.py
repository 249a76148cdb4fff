"""The issuer: merchant table, cardholder table, payments and their settlement."""
