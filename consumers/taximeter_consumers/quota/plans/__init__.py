"""Plans, assignments and add-ons: dated rows, and the rules that follow from them."""
