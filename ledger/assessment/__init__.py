"""What people are told in time: runs, models and systems held against every line, and what speaks against a number."""
