"""What events cost by one book and by another: the SQL, made of the one query that prices events.

The old cost is what the rollups have: the first price and all adjustments since. Where the new book knows no price, the
event keeps the one that it has: unknown is not zero, and never a reason to give money back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.reprice.order import SCOPE
from taximeter_consumers.rollups.statements import SETTINGS

if TYPE_CHECKING:
    from taximeter_consumers.pricing.cards import Book

_DIFFERENCES: Final = """
SELECT
    old.account_id AS account_id, old.run_id AS run_id, old.event_id AS event_id, old.id_time AS id_time,
    old.occurred_at AS occurred_at, old.provider AS provider, old.model AS model, old.plugin_id AS plugin_id,
    if(new.model_source = 'unpriced', toDecimal256(0, 18), new.model_cost - old.model_cost - old.adjusted_model)
        AS model_usd,
    if(new.plugin_source = 'unpriced', toDecimal256(0, 18), new.plugin_cost - old.plugin_cost - old.adjusted_plugin)
        AS plugin_usd,
    new.resource_cost - old.resource_cost - old.adjusted_resource AS resource_usd,
    model_usd + plugin_usd + resource_usd AS amount_usd,
    old.cost AS old_usd,
    old.model_card AS old_card, new.model_card AS new_card
FROM ({old}) AS old
INNER JOIN
(
    SELECT account_id, event_id, model_source, plugin_source, model_cost, plugin_cost, resource_cost, model_card
    FROM ({new})
) AS new
ON new.account_id = old.account_id AND new.event_id = old.event_id
WHERE model_usd != 0 OR plugin_usd != 0 OR resource_usd != 0
"""
_SUMS: Final = """
SELECT
    change.account_id AS account_id,
    if(model_usd != 0 OR plugin_usd = 0, provider, 'plugin') AS priced_by,
    if(model_usd != 0 OR plugin_usd = 0, model, plugin_id) AS priced_as,
    run_id,
    if(held.ends_at > occurred_at, toString(held.label), formatDateTime(occurred_at, '%Y-%m', 'UTC')) AS period,
    count(), CAST(sum(old_usd), 'Decimal(38, 18)'), CAST(sum(amount_usd), 'Decimal(38, 18)')
FROM (SELECT *, toDateTime(occurred_at, 'UTC') AS second FROM ({differences})) AS change
ASOF LEFT JOIN billing_periods AS held ON change.account_id = held.account_id AND change.second >= held.starts_at
GROUP BY account_id, priced_by, priced_as, run_id, period
SETTINGS {settings}
"""
_WRITE: Final = """
INSERT INTO stored_adjustments
    (account_id, run_id, event_id, id_time, occurred_at, reprice_id, model_usd, plugin_usd, resource_usd, old_card,
     new_card, made_at)
SELECT account_id, run_id, event_id, id_time, occurred_at, {{reprice_id:String}}, model_usd, plugin_usd, resource_usd,
    old_card, new_card, now64(6)
FROM ({differences})
SETTINGS {settings}
"""


def sums_sql(old: Book, new: Book) -> str:
    """A query of sums by account, provider, model, run and billing period: events, old cost, difference."""
    return _SUMS.format(differences=_differences(old, new), settings=SETTINGS)


def write_sql(old: Book, new: Book) -> str:
    """The statement that writes the differences as adjustments of `{reprice_id:String}`."""
    return _WRITE.format(differences=_differences(old, new), settings=SETTINGS)


def _differences(old: Book, new: Book) -> str:
    # The new price is what an event costs from its first cent on; adjustments are what led to the old one.
    from_scratch = replace(new, has_adjustments=False)
    return _DIFFERENCES.format(old=charged_events(SCOPE, old), new=charged_events(SCOPE, from_scratch))
