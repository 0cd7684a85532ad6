"""Running Mailu: what must be installed, which services there are, and the agents that keep them running."""
