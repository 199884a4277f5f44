"""Compare recipes over seeds, and finished runs, in one table."""
