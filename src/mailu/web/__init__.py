"""The web pages: sign-on, people's own settings, the administration. One file a group of pages.

They translate between browsers and ``mailu.directory``, ``mailu.auth`` and ``mailu.identity``, and own no rule. A page
is a function that takes a ``Visit`` and is registered with one ``Permission``; ``serve`` does for all of them what must
never be forgotten in one: who is there, may they, was the form ours, which language, what headers.
"""
