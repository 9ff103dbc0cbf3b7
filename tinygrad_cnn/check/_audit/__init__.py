"""What ``audit`` is made of: hooks that listen, a witness that remembers, checks that conclude."""
