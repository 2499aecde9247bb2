"""The xet protocol: large files as chunks, so that a changed file brings only what is new in it.

`hashes`, `xorb` and `shard` are its formats, `store` keeps chunks, `files` makes files of them, `api` speaks HTTP.
Source: the Xet protocol specification, and what the stock client (hf_xet 1.8) sends.
"""
