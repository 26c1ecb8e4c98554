"""STREAM: how money and data are cut into packets that only the two ends can read (RFC 29, RFC 39)."""
