"""The usage page that a product embeds: signed tokens instead of keys, and a page without data of its own."""
