"""The variables, one subject a file. Every class here is a part of ``Settings``; its docstring is a heading of the
reference."""
