"""The operations, once; Python, CLI, HTTP and console all call them."""
