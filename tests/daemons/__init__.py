"""Scenarios on whole servers, started the way an operator starts them."""
