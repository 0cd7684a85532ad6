"""The REST API: one file a resource. It translates between HTTP and ``mailu.directory``, and owns no rule.

The addresses, fields and statuses of version 1 are those that scripts have used for years: success is 200 also for
what was created, writes answer ``{"code", "message"}``, everything is one line of JSON with Python's default
separators, and lists leave out what is null.
"""
