/* The page: what is chosen, and what is drawn of it. */
/* `quantiles` has the names and the shares of those that are said, as the data name them. */
const app = { quantiles: [], range: [0, 0], runs: [], cursors: [], label: null, metric: null, sort: ["hits", -1], filter: "", shown: 100, slack: 0, cursor: null };
const byId = id => document.getElementById(id);
app.figures = () => ["min", "mean", ...app.quantiles.map(([name]) => name), "max"];
app.bins = () => app.runs[0].hits.length;
app.isWhole = () => app.range[0] === 0 && app.range[1] === app.bins();
app.seconds = () => {
  const edges = app.runs[0].edges, end = app.isWhole() ? Math.max(...app.runs.map(run => run.edges[run.edges.length - 1])) : edges[app.range[1]];
  return [edges[app.range[0]], end];
};
app.point = seconds => { app.cursor = seconds; for (const draw of app.cursors) draw(seconds); };
app.zoom = (from, to) => {
  from = Math.max(0, Math.min(from, app.bins() - 1));
  to = Math.min(app.bins(), Math.max(to, from + 1));
  app.range = [from, to];
  draw();
};
app.zoomSeconds = (from, to) => {
  const edges = app.runs[0].edges;
  let a = 0, b = app.bins();
  while (a < app.bins() - 1 && edges[a + 1] <= from) a++;
  while (b > a + 1 && edges[b - 1] >= to) b--;
  app.zoom(a, b);
};
app.key = (key, plot) => {
  const [a, b] = app.range, size = b - a, step = Math.max(1, Math.round(size / 10));
  const [from, to] = app.seconds();
  const index = [...document.querySelectorAll(".plot")].indexOf(plot);
  if (key === "+" || key === "=") { const quarter = Math.floor(size / 4); if (size > 1) app.zoom(a + quarter, b - Math.max(quarter, size === 2 || size === 3 ? 1 : quarter)); }
  else if (key === "-") app.zoom(a - Math.max(1, Math.round(size / 2)), b + Math.max(1, Math.round(size / 2)));
  else if (key === "0" || key === "Escape") app.zoom(0, app.bins());
  else if (key === "ArrowLeft" || key === "ArrowRight") {
    const way = key === "ArrowLeft" ? -1 : 1, now = app.cursor === null ? (from + to) / 2 : app.cursor + way * (to - from) / Math.max(size, 20);
    app.point(Math.min(Math.max(now, from), to));
    return true;
  } else if (key === "PageUp" || key === "PageDown") { const way = (key === "PageUp" ? -1 : 1) * step, move = Math.max(-a, Math.min(way, app.bins() - b)); app.zoom(a + move, b + move); }
  else return false;
  const plots = document.querySelectorAll(".plot");
  if (plots[index]) plots[index].focus();
  return true;
};
const middles = run => run.middles ??= run.hits.map((_, i) => (run.edges[i] + run.edges[i + 1]) / 2);
const lengths = run => run.lengths ??= run.hits.map((_, i) => run.edges[i + 1] - run.edges[i]);
const sum = (values, from, to) => { let all = 0; for (let i = from; i < to; i++) all += values[i]; return all; };
/* The bins of another run that lie in the range that is shown. */
function rangeOf(run) {
  if (run === app.runs[0]) return app.range;
  if (app.isWhole()) return [0, run.hits.length];
  const [from, to] = app.seconds();
  let a = 0, b = run.hits.length;
  while (a < b && run.edges[a] < from) a++;
  while (b > a && run.edges[b] > to) b--;
  return [a, b];
}
function labelTimes(run, number, from, to) {
  const merge = run.label_merge, bins = Math.ceil(run.hits.length / merge);
  return merged(run.times.labels, number * bins + Math.floor(from / merge), number * bins + Math.min(Math.ceil(to / merge), bins));
}
/* Hits, failures, response times of a run, all or of the chosen label, by bin. */
function chosen(run) {
  if (app.label === null) return { hits: run.hits, failed: run.failed, step: 1, times: (from, to) => merged(run.times.responses, from, to) };
  const number = run.labels.findIndex(label => label.name === app.label);
  if (number < 0 || !run.labels[number].by_time) return null;
  const label = run.labels[number];
  return { hits: label.by_time[0], failed: label.by_time[1], step: run.label_merge, times: (from, to) => labelTimes(run, number, from, to) };
}
/* Quantiles by time. The histograms of a point are merged once for all of them. */
function latencySeries(run, wanted) {
  const of = chosen(run);
  if (!of) return [];
  const all = wanted.map(({ band, ...look }) => Object.assign(look, { x: [], y: [], low: band ? [] : null, high: band ? [] : null }));
  const points = 600, [a, b] = rangeOf(run);
  const step = Math.max(of.step, Math.ceil((b - a) / points / of.step) * of.step);
  for (let i = Math.floor(a / step) * step; i < b; i += step) {
    const end = Math.min(i + step, run.hits.length), sum = of.times(i, end);
    for (const series of all) {
      const [value, low, high] = withBand(sum, series.share);
      series.x.push((run.edges[i] + run.edges[end]) / 2);
      series.y.push(value);
      if (series.low) { series.low.push(low); series.high.push(high); }
    }
  }
  return all;
}
/* Above so many points bins are put together, and the highest and the lowest of them stay. */
function line(run, values, name, cls, more) {
  const x = middles(run), [a, b] = rangeOf(run), points = 1200;
  if (b - a <= points) return Object.assign({ name, cls, x, y: values }, more);
  const step = Math.ceil((b - a) / points), xs = [], ys = [], low = [], high = [];
  for (let i = a; i < b; i += step) {
    let least = null, most = null, all = 0, count = 0;
    for (let k = i; k < Math.min(i + step, b); k++) {
      const v = values[k];
      if (v === null) continue;
      if (least === null || v < least) least = v;
      if (most === null || v > most) most = v;
      all += v; count++;
    }
    xs.push(x[i]); ys.push(count ? all / count : null); low.push(least); high.push(most);
  }
  return Object.assign({ name, cls, x: xs, y: ys, low, high }, more);
}
const perSecond = (run, values) => { const length = lengths(run); return values.map((v, i) => length[i] > 0.2 ? v / length[i] : null); };
function drawCharts() {
  const parent = byId("charts"), runs = app.runs, run = runs[0], many = runs.length > 1;
  parent.textContent = "";
  W = Math.min(1200, Math.max(300, parent.clientWidth - 28));
  app.cursors = [];
  const whose = many ? " of " + run.name : "";
  app.slack = run.edges.length > 1 ? run.edges[1] - run.edges[0] + 1 : 1;
  const rates = [];
  runs.forEach((one, i) => {
    const of = chosen(one);
    if (!of) return;
    const name = many ? one.name + " " : "";
    if (app.label === null && one.scheduled.some(v => v > 0)) rates.push(line(one, perSecond(one, one.scheduled), name + "offered", many ? "k" + i % 6 : "soft", { dash: true }));
    rates.push(line(one, perSecond(one, of.hits), name + "achieved", many ? "k" + i % 6 : "k0"));
    if (of.failed.some(v => v > 0)) rates.push(line(one, perSecond(one, of.failed), name + "failed", "c-bad", many ? { dash: true } : {}));
    if (app.label === null && one.dropped.some(v => v > 0)) rates.push(line(one, perSecond(one, one.dropped), name + "dropped", "k3"));
  });
  timeChart(parent, app, "Hits per second", rates, countText);
  const latencies = [];
  runs.forEach((one, i) => {
    const set = many ? [[0.5, "p50"], [0.99, "p99"]] : [[0.5, "p50"], [0.9, "p90"], [0.99, "p99"]];
    latencies.push(...latencySeries(one, set.map(([share, name], k) => ({
      share, name: (many ? one.name + " " : "") + name, cls: many ? "k" + i % 6 : ["c-p50", "c-p90", "c-p99"][k],
      dash: many && share === 0.5, band: !many || share === 0.99,
    }))));
  });
  timeChart(parent, app, "Response time, with 95 % bands", latencies, timeText, { log: true });
  if (app.label !== null) return;
  heatmap(parent, app, run, whose);
  const some = values => values.some(v => v > 0);
  if (some(run.users) || some(run.running)) timeChart(parent, app, "Users and hits in flight" + whose, [["users", run.users, "k0"], ["in flight", run.running, "k1"]].filter(([, values]) => some(values)).map(([name, values, cls]) => line(run, values, name, cls)), countText);
  const mean = values => values.map((v, i) => run.hits[i] ? v / run.hits[i] : null);
  if (some(run.first_byte_ns)) timeChart(parent, app, "Phases, mean of all hits" + whose, [line(run, mean(run.connect_ns), "connecting", "k2"), line(run, mean(run.first_byte_ns), "until the first byte", "k3")], timeText);
  if (some(run.lag_p99)) timeChart(parent, app, "Lag: how late hits started" + whose, [line(run, run.lag_mean.map((v, i) => run.hits[i] ? v : null), "mean", "k0"), line(run, run.lag_p99.map((v, i) => run.hits[i] ? v : null), "p99", "k1")], timeText);
  if (some(run.busy)) timeChart(parent, app, "Busiest event loop: part of its core" + whose, [line(run, run.busy, "busy", "k3")], v => (v * 100).toFixed(0) + " %", { top: 1 });
  const codes = Object.keys(run.codes);
  if (codes.length) timeChart(parent, app, "Answers per second, by status" + whose, codes.slice(0, 12).map((code, i) => line(run, perSecond(run, run.codes[code]), code === "0" ? "no status" : code, "k" + i % 6)), countText);
  const bytes = v => v >= 1e6 ? (v / 1e6).toFixed(1) + " MB/s" : v >= 1e3 ? (v / 1e3).toFixed(1) + " kB/s" : v.toFixed(0) + " B/s";
  if (some(run.received)) timeChart(parent, app, "Bytes" + whose, [line(run, perSecond(run, run.sent), "sent", "k0"), line(run, perSecond(run, run.received), "received", "k2")], bytes);
}
function drawQuantiles() {
  const parent = byId("quantiles"), lines = [];
  parent.textContent = "";
  app.runs.forEach((run, i) => {
    const [a, b] = rangeOf(run), whole = a === 0 && b === run.hits.length, name = app.runs.length > 1 ? run.name + " " : "";
    const of = chosen(run);
    if (!of) return;
    const response = app.label === null && whole ? merged(run.times.response, 0, 1) : of.times(a, b);
    lines.push({ name: name + "response", cls: "k" + i % 6, sum: response });
    if (app.label === null) lines.push({ name: name + "service", cls: app.runs.length > 1 ? "k" + i % 6 : "k2", dash: true, sum: whole ? merged(run.times.service, 0, 1) : merged(run.times.services, a, b) });
  });
  quantilePlot(parent, lines);
}
/* A metric that isn't a hit's, of all runs that have it. */
const metricText = unit => unit === "time" ? v => timeText(v * 1e6) : unit === "rate" ? v => (v * 100).toFixed(1) + " %" : unit === "data" ? v => countText(v) + "B" : countText;
function metricNames() {
  return [...new Set(app.runs.flatMap(run => run.metrics.map(metric => metric.name)))].sort();
}
function drawMetric() {
  const parent = byId("metric-chart"), names = metricNames();
  if (!parent || !names.length) return;
  if (!names.includes(app.metric)) app.metric = names.find(name => /duration/.test(name)) || names[0];
  parent.textContent = "";
  const lines = [], many = app.runs.length > 1;
  let unit = "";
  app.runs.forEach((run, i) => {
    const metric = run.metrics.find(one => one.name === app.metric);
    if (!metric) return;
    unit = metric.unit;
    metric.lines.forEach(([name, values], k) => lines.push(line(run, values, (many ? run.name + " " : "") + name, "k" + (many ? i % 6 : [0, 2, 1][k % 3]), many && k ? { dash: true } : {})));
  });
  timeChart(parent, app, app.metric, lines, metricText(unit), unit === "rate" ? { top: 1 } : {});
}
function inRange(times, limits) {
  const said = quantiles(times, app.quantiles.map(([, share]) => share));
  let all = 0;
  times.counts.forEach((count, i) => { if (count) all += count * middleOf(times.least + i, times.shift); });
  const end = times.counts.length - 1;
  if (!times.total) return app.figures().map(() => null);
  return [middleOf(times.least, times.shift), all / times.total, ...said, middleOf(times.least + end, times.shift)];
}
/* The first run's parts have no number. */
const partOf = (name, number) => byId(number ? `${name}-${number}` : name);
function drawFigures(run, number) {
  const [a, b] = rangeOf(run), whole = app.isWhole();
  const hits = sum(run.hits, a, b), failed = sum(run.failed, a, b), from = run.edges[a], to = run.edges[b];
  const response = whole ? run.total.response : inRange(merged(run.times.responses, a, b));
  const service = whole ? run.total.service : inRange(merged(run.times.services, a, b));
  const set = (name, text) => { const card = partOf("card-" + name, number); if (card) card.textContent = text; };
  if (hits > 0 || !whole) {
    set("hits", String(whole ? run.total.hits : hits));
    set("rate", fixed(whole ? run.total.hits * 1e9 / Math.max(run.span_ns, 1) : hits / (to - from || 1), 1));
    set("failed", `${failed} (${fixed(hits ? failed * 100 / hits : 0, 2)} %)`);
    for (const name of ["p50", "p99", "max"]) set(name, timeText(response[app.figures().indexOf(name)]));
    if (run.scheduled.some(v => v > 0)) { set("scheduled", String(sum(run.scheduled, a, b))); set("dropped", String(sum(run.dropped, a, b))); }
  }
  const table = partOf("figures", number);
  for (const [name, values] of [["service", service], ["response", response]]) {
    const cells = table.querySelectorAll(`tr[data-times=${name}] td`);
    if (hits > 0 || !whole) values.forEach((v, i) => { if (cells[i]) { cells[i].textContent = timeText(v); cells[i].title = v === null ? "" : v + " ns"; } });
  }
  const lag = table.querySelector("tr[data-times=lag]");
  if (lag) lag.hidden = !whole;
  table.caption.textContent = whole ? "Times of all hits" : `Times of the hits from ${secondsText(from)} to ${secondsText(to)}` + errorText(run.times.responses.shift);
}
const errorText = shift => shift ? `, within ${(50 / 1024 * 2 ** shift).toPrecision(2)} %` : "";
function labelRows(run) {
  const [a, b] = rangeOf(run), whole = app.isWhole();
  const rows = [];
  run.labels.forEach((label, number) => {
    if (app.filter && !(label.name || "(no label)").toLowerCase().includes(app.filter)) return;
    if (whole) { rows.push([label.name, label.hits, label.failed, ...label.response]); return; }
    if (!label.by_time) return;
    const hits = sum(label.by_time[0], a, b);
    if (hits) rows.push([label.name, hits, sum(label.by_time[1], a, b), ...inRange(labelTimes(run, number, a, b))]);
  });
  const columns = ["label", "hits", "failed", ...app.figures()], column = Math.max(columns.indexOf(app.sort[0]), 0), way = app.sort[1];
  rows.sort((one, other) => {
    const x = one[column], y = other[column];
    return (x < y ? -1 : x > y ? 1 : 0) * way || (one[0] < other[0] ? -1 : 1);
  });
  return rows;
}
function drawLabels() {
  let shown = 0, all = 0;
  app.runs.forEach((run, number) => {
    const rows = labelRows(run);
    drawLabelTable(partOf("label-table", number), rows, run);
    shown += Math.min(app.shown, rows.length);
    all += rows.length;
  });
  byId("label-count").textContent = `${shown} of ${all} labels`;
  byId("label-all").hidden = shown >= all;
}
function drawLabelTable(table, rows, run) {
  if (!table.querySelector("th[aria-sort]")) {
    [...table.tHead.rows[0].cells].forEach(cell => {
      const name = cell.textContent, button = html("button", { type: "button" }, name);
      cell.textContent = "";
      cell.appendChild(button);
      cell.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => { app.sort = [name, app.sort[0] === name ? -app.sort[1] : name === "label" ? 1 : -1]; remember(); drawLabels(); });
    });
  }
  for (const cell of table.tHead.rows[0].cells) cell.setAttribute("aria-sort", cell.textContent !== app.sort[0] ? "none" : app.sort[1] > 0 ? "ascending" : "descending");
  const body = table.tBodies[0];
  body.textContent = "";
  for (const [name, hits, failed, ...times] of rows.slice(0, app.shown)) {
    const row = html("tr", {}, null, body), head = html("th", { scope: "row" }, null, row);
    html("bdi", {}, name || "(no label)", head);
    html("td", { class: "n" }, String(hits), row);
    html("td", { class: failed ? "n worse" : "n" }, `${failed} (${fixed(hits ? failed * 100 / hits : 0, 2)} %)`, row);
    for (const v of times) html("td", { class: "n", title: v === null ? "" : v + " ns" }, timeText(v), row);
  }
  table.caption.textContent = app.isWhole() ? "Response time by label" : "Response time by label, in the chosen range" + errorText(run.times.labels.shift) + (run.label_merge > 1 ? `, to ${run.label_merge * run.width} s` : "");
}
function drawTools() {
  const run = app.runs[0], [from, to] = app.seconds();
  byId("range").textContent = app.isWhole() ? "all of the run" : `${secondsText(from)} to ${secondsText(to)}`;
  byId("reset").disabled = app.isWhole();
}
/* What is chosen stands in the address, so that it can be sent along. */
function remember() {
  const parts = [];
  if (!app.isWhole()) parts.push(`range=${app.range[0]}-${app.range[1]}`);
  if (app.sort[0] !== "hits" || app.sort[1] !== -1) parts.push(`sort=${app.sort[0]},${app.sort[1] > 0 ? "up" : "down"}`);
  if (app.label !== null) parts.push("label=" + encodeURIComponent(app.label));
  try { history.replaceState(null, "", "#" + parts.join("&")); } catch { /* a frame without an address */ }
}
function recall() {
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=");
    if (value === undefined) continue;
    const range = /^(\d+)-(\d+)$/.exec(value);
    if (name === "range" && range) {
      const from = Math.min(+range[1], app.bins() - 1);
      app.range = [from, Math.max(from + 1, Math.min(+range[2], app.bins()))];
    }
    if (name === "sort" && ["label", "hits", "failed", ...app.figures()].includes(value.split(",")[0])) app.sort = [value.split(",")[0], value.endsWith(",up") ? 1 : -1];
    if (name === "label") try {
      const label = decodeURIComponent(value);
      if (app.runs[0].labels.some(one => one.name === label && one.by_time)) app.label = label;
    } catch { /* no label */ }
  }
}
function draw() { remember(); drawTools(); app.runs.forEach(drawFigures); drawCharts(); drawMetric(); drawQuantiles(); drawLabels(); }
function setUp() {
  const tools = byId("tools"), run = app.runs[0];
  tools.hidden = false;
  html("span", {}, "Shown:", tools);
  html("strong", { id: "range" }, "", tools);
  html("button", { id: "reset", type: "button" }, "Show all", tools).addEventListener("click", () => app.zoom(0, app.bins()));
  const withTime = run.labels.filter(label => label.by_time);
  if (withTime.length > 1) {
    const choice = html("label", {}, "Label: ", tools), select = html("select", { id: "label-choice" }, null, choice);
    html("option", { value: "" }, "all", select);
    withTime.forEach((label, i) => { html("option", { value: String(i + 1) }, label.name || "(no label)", select).selected = label.name === app.label; });
    select.addEventListener("change", () => { app.label = select.value ? withTime[+select.value - 1].name : null; draw(); });
  }
  const metrics = metricNames(), place = byId("metric-tools");
  if (place && metrics.length) {
    drawMetric();
    const choice = html("label", {}, "Metric: ", place), select = html("select", { id: "metric-choice" }, null, choice);
    metrics.forEach(name => { html("option", {}, name, select).selected = name === app.metric; });
    select.addEventListener("change", () => { app.metric = select.value; app.cursors.pop(); drawMetric(); });
  }
  html("small", {}, "Drag over a chart to zoom; keys: arrows, +, -, 0.", tools);
  const labels = byId("label-tools"), find = html("label", {}, "Find: ", labels), input = html("input", { type: "search", id: "label-find" }, null, find);
  input.value = app.filter;
  input.addEventListener("input", () => { app.filter = input.value.toLowerCase(); drawLabels(); });
  html("span", { id: "label-count" }, "", labels);
  html("button", { id: "label-all", type: "button" }, "Show all", labels).addEventListener("click", () => { app.shown = Infinity; drawLabels(); });
  for (const note of document.querySelectorAll(".label-more")) note.remove();
}
async function start() {
  const page = await unpack(byId("data").textContent);
  app.quantiles = page.quantiles;
  app.runs = page.runs;
  app.range = [0, app.bins()];
  recall();
  setUp();
  draw();
  follow();
  let wait = null, width = document.documentElement.clientWidth;
  window.addEventListener("resize", () => {
    clearTimeout(wait);
    wait = setTimeout(() => { if (document.documentElement.clientWidth !== width) { width = document.documentElement.clientWidth; draw(); } }, 100);
  });
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  document.documentElement.dataset.ready = "1";
}
start();
