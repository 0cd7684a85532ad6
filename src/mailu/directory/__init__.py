"""What the mail server knows: domains, people, addresses, and the rules for changing them.

``models`` says how it is stored, ``store`` opens it, ``snapshot`` loads it whole into memory, ``lookup`` answers
questions from a snapshot, ``changes`` owns every rule for writing. Nothing here knows a daemon, a web page or HTTP.
"""
