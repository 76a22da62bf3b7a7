"""What log lines become on their way: the one meaning that every shipper is rendered from and tested against."""
