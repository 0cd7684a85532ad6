"""Who may log in: one judge of credentials for every protocol, and the sessions of the web."""
