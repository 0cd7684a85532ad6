"""Having certificates issued by an authority (ACME, RFC 8555): each name by itself, when it is due, and no sooner.

``state`` what is known of each name, kept over restarts; ``plan`` when to ask; ``preflight`` whether asking could
succeed; ``certbot`` the program that asks, and what its words mean. The process around them is
``mailu.servers.certificates``.
"""
