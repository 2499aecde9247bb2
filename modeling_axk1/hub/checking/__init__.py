"""The rules of `axk1 hub check`, one file for each subject; each rule yields a line for whatever breaks it."""
