"""Blackbox variational inference, taught against exact answers."""
