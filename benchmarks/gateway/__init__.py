"""Measure the cost of a request through Tenuto as a gateway, beside other gateways."""
