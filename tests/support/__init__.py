"""What tests share: peers, programs, servers, and pairs of both."""
