"""What the demo is played with: processes, orders, a screen. The story is in demo.py."""
