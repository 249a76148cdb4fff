"""The merchant API as OpenAPI 3.1, and the page to read and try it."""
