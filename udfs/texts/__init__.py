"""Conversations as text and token ids: roles, templates, truncation."""
