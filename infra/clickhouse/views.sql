-- Lets an analyst read the views without a right to the tables below them: each view then reads as its definer. To be run
-- once as a user who may do everything, and again after every upgrade, because a migration may make a view anew:
--   clickhouse-client --multiquery < infra/clickhouse/views.sql
-- On a cluster add ON CLUSTER and the name to each. The view of API keys is not among them.
ALTER TABLE metering.account_days MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.add_ons MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.adjustments MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.billing_accounts MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.billing_periods MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.charges MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.context_days MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.credits MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.dead_letter_actions MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.discounts MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.erasures MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.events MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.ingest_batches MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.invoice_lines MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.invoice_statuses MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.invoices MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.model_aliases MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.model_costs MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.node_costs MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.period_costs MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.plans MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.price_cards MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.prices MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.project_days MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quality_days MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_add_ons MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_assignments MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_limits MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_organisations MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_plans MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_state MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.quota_usage MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.reprices MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.retentions MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.run_costs MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.transaction_usage MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.usage_by_subject MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.user_days MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.workflow_costs MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
ALTER TABLE metering.workflow_days MODIFY SQL SECURITY DEFINER DEFINER = taximeter_migrator;
