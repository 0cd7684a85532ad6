"""What a domain must show the world: signing keys, DNS records, certificates, client configuration, TLS policy."""
