"""The demonstration: small steps on one stage, each of which checks what it shows."""
