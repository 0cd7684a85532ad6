"""Services that not everybody wants, in one server that has them all."""
