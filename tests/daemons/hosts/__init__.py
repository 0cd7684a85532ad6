"""Several machines on one network, with a signed DNS: each is a network namespace, and nothing leaves them."""
