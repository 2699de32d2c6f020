"""What a use costs: the price book, the names of its models, and one rule in Python and in SQL."""

from taximeter_consumers.pricing.aliases import match_new_models
from taximeter_consumers.pricing.book import load_book
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.pricing.price import Charge, RateCard, cost_of

__all__ = ["Charge", "RateCard", "charged_events", "cost_of", "load_book", "match_new_models"]
