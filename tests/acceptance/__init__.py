"""The cases of users, on databases and with workers that are processes of their own."""
