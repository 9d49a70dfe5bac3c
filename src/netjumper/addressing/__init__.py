"""What people write, parsed and checked: addresses, listen addresses, jump URLs, rules."""
