"""The comparators, one a kind of answer."""
