// What the card says of a usage: pure.
const whole = new Intl.NumberFormat("en-US");

function percentOf(usage) {
  if (usage.percent > 0 && usage.percent < 1) return "<1%";
  return `${whole.format(Math.floor(usage.percent))}%`;
}

export function shown(usage, near) {
  const used = whole.format(usage.used);
  if (usage.limit === null) {
    return { hasLimit: false, level: "none", big: used, status: "No limit", left: "tokens used", tip: "", filled: 0, spoken: `${used} tokens used, no limit` };
  }
  const limit = whole.format(usage.limit);
  const level = usage.percent >= 100 ? "over" : usage.percent >= near ? "near" : "fine";
  const status = { fine: "Within the limit", near: "Close to the limit", over: "Limit reached" }[level];
  const left = usage.remaining > 0 ? `${whole.format(usage.remaining)} tokens left` : "No tokens left";
  const tip = `${used} / ${limit} tokens`;
  return { hasLimit: true, level, big: percentOf(usage), status, left, tip, filled: Math.min(100, Math.max(0, usage.percent)), spoken: `${percentOf(usage)}, ${used} of ${limit} tokens used` };
}
