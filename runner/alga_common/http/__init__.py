"""HTTP as a client: connections, one response off a connection, one bounded exchange."""
