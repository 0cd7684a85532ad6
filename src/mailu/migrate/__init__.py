"""Taking over what an earlier Mailu left: its settings, directory, keys, mail, overrides and the rest.

``takeover`` is the table of contents: everything is looked at first, and nothing is changed when anything is refused.
The source is only ever read. What was taken is remembered below ``ROOT/migration``, so that a second run brings what
has changed at the source since, and leaves alone what has been changed here since.
"""
