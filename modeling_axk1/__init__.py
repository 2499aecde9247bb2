"""A.X K1, the open release. `import modeling_axk1` teaches transformers' Auto classes "axk1" and "AXK1", lazily."""

__version__ = "0.1.0"
