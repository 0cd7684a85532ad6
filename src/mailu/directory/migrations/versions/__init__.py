"""Revisions of the schema, run by ``mailu.directory.schema``."""
