// A run's answer as the lines of a tree, flat and in order. A function of values.

/** Lines: {kind, level, key, hasBelow, item, of}; sub-runs follow the nodes. `closed` are keys of what is folded. */
export function linesOf(run, closed, level = 1, path = "") {
  const key = `${path}/${run.runId}`;
  const below = run.nodes.length + run.runs.length > 0;
  const lines = [{ kind: "run", level, key, hasBelow: below, item: run, run }];
  if (closed.has(key)) return lines;
  for (const node of run.nodes) {
    const nodeKey = `${key}/${node.nodeId}`;
    const tried = node.attempts.length > 1 || node.attempts.some((one) => one.outcome !== "success");
    lines.push({ kind: "node", level: level + 1, key: nodeKey, hasBelow: tried, item: node, run });
    if (tried && !closed.has(nodeKey)) node.attempts.forEach((item, index) => lines.push({ kind: "attempt", level: level + 2, key: `${nodeKey}#${item.attempt}`, hasBelow: false, item, run, node, isLast: index === node.attempts.length - 1 }));
  }
  for (const child of run.runs) lines.push(...linesOf(child, closed, level + 1, key));
  return lines;
}

/** Why an attempt's money was wasted; empty where it was not. By the rule of the rollups. */
export function wasteOf(attempt, isLast) {
  if (attempt.outcome === "cancelled") return "cancelled";
  if (!isLast) return "tried again";
  return attempt.outcome === "success" ? "" : "failed";
}

/** When the whole began and ended, in Unix milliseconds. */
export function spanOf(run) {
  const all = [run, ...descendants(run)];
  return { from: Math.min(...all.map((one) => Date.parse(one.startedAt))), until: Math.max(...all.map((one) => Date.parse(one.endedAt))) };
}

function descendants(run) {
  return run.runs.flatMap((one) => [one, ...descendants(one)]);
}
