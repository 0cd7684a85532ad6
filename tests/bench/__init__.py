"""The benchmark: this stack beside a bare Postfix and Dovecot with static tables, in turns on the same machine.

Run it with ``make bench`` (all of it) or ``make bench-quick``. Machines are shared and noisy, so every figure that
counts is a ratio of medians between two things that were measured in turns.
"""
