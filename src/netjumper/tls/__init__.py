"""TLS 1.3 between client and jump server: by the shared secret, a pin, or an authority."""
