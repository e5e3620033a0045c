"""What a called phone hears."""
