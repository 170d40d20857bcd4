"""The pages that people read, held against the code that they describe."""
