"""Man pages, made from the parsers: `pages` has the words, `page` the form, `troff` the markup."""
