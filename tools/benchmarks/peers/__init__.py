"""What one would otherwise use, each set up as its documentation says and given the best of the choices it leaves.

otpgateway is left out: it is written in Go and in neither npm nor PyPI.
"""
