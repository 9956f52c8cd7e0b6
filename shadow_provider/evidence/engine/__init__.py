"""Captures of any volume become block measures, in bounded memory, look by look."""
