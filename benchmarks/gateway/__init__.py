"""What Tenuto adds to a request that it passes on, beside other gateways."""
