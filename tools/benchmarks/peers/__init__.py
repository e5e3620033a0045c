"""Similar products, each set up as its documentation says and with the fastest options that it has.

otpgateway is left out, because it is written in Go and in neither npm nor PyPI.
"""
