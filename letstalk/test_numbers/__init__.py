"""Test numbers: phones with a fixed code and an end, for apps' own tests and the reviews of app stores."""
