"""What the called person hears."""
