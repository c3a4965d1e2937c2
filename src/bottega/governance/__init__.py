"""Policy, review, signing and verification."""
