// The dashboard: asks the API of the same origin, and shows what it says. All text of the data goes in as text.
"use strict";

const LEVELS = ["trace", "debug", "info", "warn", "error", "critical"];
const SPANS = { "15m": 900, "1h": 3600, "6h": 21600, "1d": 86400, "7d": 604800 };
const REFRESH_MS = 5000, STATS_EVERY = 3, HISTORY = 720, PAGE = 50;

const $ = (id) => document.getElementById(id);
const state = { cpu: [], memory: [], lastCpu: null, next: null, round: 0, busy: false };

function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(path, options) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `${path}: ${answer.status}`);
  return body;
}

// --- health ---

async function showHealth() {
  const health = await ask("/api/v1/health");
  $("health").textContent = health.status;
  $("health").className = `pill ${health.status}`;
  $("checks").replaceChildren(...health.checks.map((check) => {
    const row = make("li");
    row.append(make("b", check.name), make("span", check.status, check.status), make("p", check.details));
    return row;
  }));
}

// --- counts ---

function bar(label, value, share) {
  const row = make("li"), meter = make("meter");
  meter.max = 1;
  meter.value = share;
  meter.setAttribute("aria-label", label);
  row.append(make("span", label), make("b", value), meter);
  return row;
}

async function showStats() {
  const span = $("range").value, seconds = SPANS[span];
  const stats = await ask(`/api/v1/logs/stats?start=${span}&buckets=60`);
  const buckets = stats.buckets.map((bucket) => ({ at: Date.parse(bucket.start_time), values: bucket.levels }));
  const from = buckets[0].at, to = Date.now();
  $("total").textContent = charts.short(stats.total_logs);
  $("rate").textContent = `${charts.short(stats.total_logs / seconds)} a second`;
  $("errors").textContent = charts.short(stats.error_logs);
  $("error-share").textContent = stats.total_logs ? `${((stats.error_logs / stats.total_logs) * 100).toFixed(2)} %` : "";
  $("warnings").textContent = charts.short(stats.warn_logs);
  charts.bars($("chart-entries"), buckets, LEVELS, from, to, "entries by level over time", 170);
  const legend = make("div", undefined, "legend");
  for (const level of LEVELS) {
    const item = make("span", undefined, level);
    item.append(make("i"), level);
    legend.append(item);
  }
  $("chart-entries").append(legend);
  charts.bars($("chart-errors"), buckets, ["error", "critical"], from, to, "errors over time");
  const services = stats.services.slice().sort((a, b) => b.total_logs - a.total_logs).slice(0, 8);
  const most = services.length ? services[0].total_logs : 1;
  $("services").replaceChildren(...services.map((row) => bar(row.service, `${charts.short(row.total_logs)} / ${charts.short(row.error_logs)} errors`, row.total_logs / most)));
  if (!services.length) $("services").replaceChildren(make("li", "nothing was written", "none"));
  $("service-names").replaceChildren(...stats.services.map((row) => { const option = make("option"); option.value = row.service; return option; }));
}

// --- host ---

function remember(series, value) {
  if (!Number.isFinite(value)) return;
  series.push([Date.now(), value]);
  if (series.length > HISTORY) series.shift();
}

async function showHost() {
  const { metrics } = await ask("/api/v1/metrics?prefix=node_");
  const values = (name) => metrics.filter((metric) => metric.name === name);
  const one = (name) => (values(name)[0] || {}).value;
  let busy = 0, all = 0;
  for (const row of values("node_cpu_seconds_total")) {
    all += row.value;
    if (row.labels.mode !== "idle" && row.labels.mode !== "iowait") busy += row.value;
  }
  if (state.lastCpu && all > state.lastCpu.all) remember(state.cpu, (busy - state.lastCpu.busy) / (all - state.lastCpu.all));
  if (!state.lastCpu || all !== state.lastCpu.all) state.lastCpu = { busy, all };
  const total = one("node_memory_MemTotal_bytes"), available = one("node_memory_MemAvailable_bytes");
  if (total) remember(state.memory, 1 - available / total);
  const percent = (share) => `${Math.round(share * 100)} %`;
  charts.line($("chart-cpu"), state.cpu, percent, "share of CPU time that is busy", 1);
  charts.line($("chart-memory"), state.memory, percent, "share of memory that is used", 1);
  const disks = values("node_filesystem_size_bytes").filter((row) => row.value > 0).map((row) => {
    const free = values("node_filesystem_avail_bytes").find((other) => other.labels.mountpoint === row.labels.mountpoint && other.labels.device === row.labels.device);
    const used = free ? 1 - free.value / row.value : 0;
    return bar(row.labels.mountpoint, `${percent(used)} of ${charts.short(row.value)}B`, used);
  });
  $("disks").replaceChildren(...(disks.length ? disks : [make("li", "the agent tells none", "none")]));
}

// --- alerts ---

async function change(id, verb, button) {
  const reason = window.prompt(verb === "ack" ? "Why is it acknowledged? (may be empty)" : "Why is it resolved? (may be empty)", "");
  if (reason === null) return;
  button.disabled = true;
  try {
    await ask(`/api/v1/alerts/${encodeURIComponent(id)}/${verb}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ reason }) });
  } finally {
    button.disabled = false;
  }
  await showAlerts();
}

function alertRow(alert) {
  const row = make("li"), text = make("div"), line = make("p"), buttons = make("div");
  line.append(make("span", alert.severity, `severity ${alert.severity}`), alert.message);
  const since = new Date(alert.timestamp).toLocaleString();
  const by = alert.acknowledged_by ? `, acknowledged by ${alert.acknowledged_by}${alert.acknowledged_reason ? `: ${alert.acknowledged_reason}` : ""}` : "";
  text.append(line, make("small", `${alert.name} (${alert.rule_id}), ${alert.status} since ${since}${by}`));
  if (alert.status === "active") {
    const button = make("button", "Acknowledge");
    button.type = "button";
    button.addEventListener("click", () => guarded(() => change(alert.id, "ack", button)));
    buttons.append(button);
  }
  row.append(text, buttons);
  return row;
}

async function showAlerts() {
  let alerts;
  try {
    ({ alerts } = await ask("/api/v1/alerts"));
  } catch (error) {
    $("alert-count").textContent = "–";
    $("alert-note").textContent = "the alerter does not answer";
    $("alerts").replaceChildren(make("li", error.message, "none"));
    return;
  }
  const active = alerts.filter((alert) => alert.status === "active").length;
  $("alert-count").textContent = active;
  $("alert-count").className = active ? "error" : "";
  $("alert-note").textContent = alerts.length > active ? `${alerts.length - active} acknowledged` : "";
  $("alerts").replaceChildren(...(alerts.length ? alerts.map(alertRow) : [make("li", "no alert is active", "none")]));
}

// --- log ---

function logRow(entry) {
  const row = make("li"), details = make("details"), summary = make("summary");
  const time = make("time", new Date(entry.timestamp).toLocaleString([], { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }));
  time.dateTime = entry.timestamp;
  summary.append(time, make("span", entry.level, entry.level), make("span", entry.service), make("span", entry.message));
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("pre")) details.append(make("pre", JSON.stringify(entry, null, 2)));
  });
  row.append(details);
  return row;
}

function logQuery() {
  const query = new URLSearchParams({ limit: PAGE });
  for (const [key, value] of new FormData($("filter"))) if (value) query.set(key, value);
  return query;
}

async function showLog() {
  const page = await ask(`/api/v1/logs?${logQuery()}`);
  state.next = page.next;
  $("log").replaceChildren(...(page.entries.length ? page.entries.map(logRow) : [make("li", "nothing matches", "none")]));
  $("older").hidden = !page.next;
}

async function showOlder() {
  const query = logQuery();
  query.set("cursor", state.next);
  const page = await ask(`/api/v1/logs?${query}`);
  state.next = page.next;
  $("log").append(...page.entries.map(logRow));
  $("older").hidden = !page.next;
}

// --- going round ---

const SILENT = "the exporter does not answer";

async function guarded(action) {
  try {
    await action();
    return "";
  } catch (error) {
    return error instanceof TypeError ? SILENT : error.message;
  }
}

// What is opened or scrolled away from is left alone.
function logIsRead() {
  return $("log").querySelector("details[open]") !== null || $("log").children.length > PAGE || window.getSelection().toString() !== "";
}

async function round() {
  if (state.busy || document.hidden) return;
  state.busy = true;
  const actions = [showHealth, showHost, showAlerts];
  if (state.round++ % STATS_EVERY === 0) actions.push(showStats);
  if (!logIsRead()) actions.push(showLog);
  const troubles = [];
  for (const action of actions) troubles.push(await guarded(action));
  const trouble = troubles.find((text) => text !== "");
  $("trouble").hidden = trouble === undefined;
  $("trouble").textContent = trouble || "";
  if (troubles.includes(SILENT)) {
    $("health").textContent = "no answer";
    $("health").className = "pill unhealthy";
  }
  state.busy = false;
}

$("range").addEventListener("change", () => guarded(showStats));
$("filter").addEventListener("submit", (event) => { event.preventDefault(); guarded(showLog); });
$("older").addEventListener("click", () => guarded(showOlder));
document.addEventListener("visibilitychange", round);
round();
setInterval(round, REFRESH_MS);
