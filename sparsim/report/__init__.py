"""Drawings. The only package of sparsim that imports matplotlib; nothing else imports it."""
