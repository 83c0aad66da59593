/* Charts: SVG by time with drag to zoom, keys and a cursor; the heatmap on a canvas. */
const NS = "http://www.w3.org/2000/svg";
function svg(name, attributes, parent) {
  const element = document.createElementNS(NS, name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (parent) parent.appendChild(element);
  return element;
}
function html(name, attributes, text, parent) {
  const element = document.createElement(name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== null && text !== undefined) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}
/* As wide as the page, so that texts have the size of others. */
let W = 1060;
const H = 200, LEFT = 66, RIGHT = 10, TOP = 8, BOTTOM = 24;
function steps(low, high, count) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(f => f * power).find(s => s >= raw * 0.999) || raw;
  const list = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) list.push(v);
  return list;
}
const secondsText = s => Math.abs(s) >= 3600 ? (s / 3600).toFixed(1) + " h" : +s.toFixed(2) + " s";
function figure(parent, title, keys) {
  const box = html("figure", {}, null, parent);
  const caption = html("figcaption", {}, null, box);
  html("span", {}, title, caption);
  for (const key of keys || []) {
    const item = html("span", { class: "key" }, null, caption);
    html("i", { class: key.cls + (key.dash ? " dash" : "") }, null, item);
    item.appendChild(document.createTextNode(key.name));
  }
  return box;
}
/* series: [{name, cls, x: [s], y: [values], low, high}] */
function timeChart(parent, app, title, series, text, options = {}) {
  const box = figure(parent, title, series.filter(s => !s.silent));
  const root = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "plot live", tabindex: "0", role: "img", "aria-label": title + ". Arrow keys move the cursor, plus zooms in, minus zooms out, 0 shows all." }, box);
  const read = html("div", { class: "read" }, "", box);
  const [from, to] = app.seconds();
  let top = 0, least = Infinity;
  for (const s of series) s.x.forEach((x, i) => {
    if (x < from || x > to) return;
    const v = s.high && s.high[i] !== null ? Math.max(s.high[i], s.y[i]) : s.y[i];
    if (v !== null && v > top) top = v;
    if (s.y[i] > 0 && s.y[i] < least) least = s.y[i];
  });
  top = options.top || top || 1;
  const log = options.log && least < Infinity && top / least > 3;
  const floor = log ? least / 1.3 : 0;
  const x = s => LEFT + (W - LEFT - RIGHT) * (s - from) / (to - from || 1);
  const y = v => TOP + (H - TOP - BOTTOM) * (log ? 1 - Math.log(Math.max(v, floor) / floor) / Math.log(top * 1.1 / floor) : 1 - v / (top * 1.05));
  const ticks = log ? logTicks(floor, top * 1.1) : steps(0, top, 5);
  for (const tick of ticks) {
    svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(tick), y2: y(tick) }, root);
    svg("text", { class: "tick", x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, root).textContent = text(tick);
  }
  for (const tick of steps(from, to, Math.max(2, Math.floor(W / 130)))) svg("text", { class: "tick", x: x(tick), y: H - 6, "text-anchor": "middle" }, root).textContent = secondsText(tick);
  for (const s of series) {
    const inside = s.x.map((v, i) => i).filter(i => s.x[i] >= from - app.slack && s.x[i] <= to + app.slack);
    if (s.low) {
      let up = "", down = "";
      const parts = [];
      const close = () => { if (up) parts.push("M" + up.slice(1) + down + "Z"); up = down = ""; };
      for (const i of inside) {
        if (s.low[i] === null) { close(); continue; }
        up += `L${x(s.x[i]).toFixed(1)} ${y(s.high[i]).toFixed(1)}`;
        down = `L${x(s.x[i]).toFixed(1)} ${y(s.low[i]).toFixed(1)}` + down;
      }
      close();
      svg("path", { class: "band " + s.cls, d: parts.join("") }, root);
    }
    let path = "", pen = "M", alone = [];
    inside.forEach((i, n) => {
      if (s.y[i] === null) { pen = "M"; return; }
      path += `${pen}${x(s.x[i]).toFixed(1)} ${y(s.y[i]).toFixed(1)}`;
      if (pen === "M" && (n + 1 >= inside.length || s.y[inside[n + 1]] === null)) alone.push(i);
      pen = "L";
    });
    svg("path", { class: "line " + s.cls + (s.dash ? " dash" : ""), d: path }, root);
    for (const i of alone) svg("circle", { class: s.cls, fill: "currentColor", cx: x(s.x[i]), cy: y(s.y[i]), r: 2.5 }, root);
  }
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: H - BOTTOM, visibility: "hidden" }, root);
  const brush = svg("rect", { class: "brush", y: TOP, height: H - TOP - BOTTOM, visibility: "hidden" }, root);
  app.cursors.push(seconds => {
    cursor.setAttribute("visibility", seconds === null ? "hidden" : "visible");
    if (seconds === null) { read.textContent = ""; return; }
    cursor.setAttribute("x1", x(seconds));
    cursor.setAttribute("x2", x(seconds));
    read.textContent = secondsText(seconds) + "  " + series.filter(s => !s.silent).map(s => {
      let best = 0;
      for (let i = 1; i < s.x.length; i++) if (Math.abs(s.x[i] - seconds) < Math.abs(s.x[best] - seconds)) best = i;
      const band = s.low && s.low[best] !== null ? ` (${text(s.low[best])} to ${text(s.high[best])})` : "";
      return s.name + " " + (s.y[best] === null || s.y[best] === undefined ? "-" : text(s.y[best])) + band;
    }).join(",  ");
  });
  handle(root, app, brush);
}
function logTicks(low, high) {
  const list = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) for (const f of high / low > 200 ? [1] : [1, 2, 5]) {
    const v = f * 10 ** p;
    if (v >= low && v <= high) list.push(v);
  }
  return list;
}
function handle(root, app, brush) {
  const at = event => {
    const box = root.getBoundingClientRect(), [from, to] = app.seconds();
    const part = ((event.clientX - box.left) / box.width * W - LEFT) / (W - LEFT - RIGHT);
    return from + Math.min(Math.max(part, 0), 1) * (to - from);
  };
  let start = null;
  const place = s => { const [from, to] = app.seconds(); return LEFT + (W - LEFT - RIGHT) * (s - from) / (to - from || 1); };
  root.addEventListener("pointerdown", event => { start = at(event); root.setPointerCapture(event.pointerId); });
  root.addEventListener("pointermove", event => {
    const now = at(event);
    app.point(now);
    if (start !== null && brush) {
      brush.setAttribute("visibility", "visible");
      brush.setAttribute("x", Math.min(place(start), place(now)));
      brush.setAttribute("width", Math.abs(place(now) - place(start)));
    }
  });
  root.addEventListener("pointerup", event => {
    const end = at(event), [from, to] = app.seconds();
    const moved = start !== null && Math.abs(end - start) > (to - from) / 100;
    const begin = start;
    start = null;
    if (brush) brush.setAttribute("visibility", "hidden");
    if (moved) app.zoomSeconds(Math.min(begin, end), Math.max(begin, end));
  });
  root.addEventListener("pointerleave", () => app.point(null));
  root.addEventListener("dblclick", () => app.zoom(0, app.bins()));
  root.addEventListener("keydown", event => { if (app.key(event.key, root)) event.preventDefault(); });
}
function heatmap(parent, app, run, whose) {
  const box = figure(parent, "Heatmap of response times" + whose);
  const canvas = html("canvas", { role: "img", "aria-label": "Heatmap of response times by time" }, null, box);
  const width = canvas.width = 2 * W, height = canvas.height = 460, c = canvas.getContext("2d");
  const [a, b] = app.range, times = run.times.responses, [from, to] = app.seconds();
  const sums = [];
  let low = Infinity, high = 0;
  const columns = Math.min(b - a, 300), rows = 46;
  for (let i = 0; i < columns; i++) {
    const sum = merged(times, a + Math.floor(i * (b - a) / columns), a + Math.floor((i + 1) * (b - a) / columns));
    sums.push(sum);
    if (sum.total) {
      low = Math.min(low, middleOf(sum.least, sum.shift));
      high = Math.max(high, middleOf(sum.least + sum.counts.length - 1, sum.shift));
    }
  }
  const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--soft");
  c.font = "23px sans-serif";
  c.fillStyle = ink;
  if (!high) { c.fillText("no hits", 2 * LEFT, 60); return; }
  low = Math.max(low * 0.95, 1); high = Math.max(high * 1.05, low * 1.1);
  const left = 2 * LEFT, right = 2 * RIGHT, top = 2 * TOP, bottom = 2 * BOTTOM, base = height - bottom;
  const row = ns => Math.min(Math.max(Math.floor(Math.log(Math.max(ns, low) / low) / Math.log(high / low) * rows), 0), rows - 1);
  const known = [];
  const rowOf = (bucket, shift) => known[bucket] ??= row(middleOf(bucket, shift));
  const cells = sums.map(sum => {
    const cells = new Float64Array(rows);
    for (let i = 0; i < sum.counts.length; i++) if (sum.counts[i]) cells[rowOf(sum.least + i, sum.shift)] += sum.counts[i];
    return cells;
  });
  const most = Math.max(...cells.map(column => Math.max(...column)));
  const colour = style.getPropertyValue("--a");
  cells.forEach((column, i) => column.forEach((count, r) => {
    if (!count) return;
    c.globalAlpha = 0.08 + 0.92 * Math.log1p(count) / Math.log1p(most);
    c.fillStyle = colour;
    const x0 = left + (width - left - right) * i / columns, x1 = left + (width - left - right) * (i + 1) / columns;
    const y0 = base - (base - top) * (r + 1) / rows, y1 = base - (base - top) * r / rows;
    c.fillRect(x0, y0, Math.max(x1 - x0 - (columns < 120 ? 1 : 0), 1), Math.max(y1 - y0 - 1, 1));
  }));
  c.globalAlpha = 1;
  c.fillStyle = ink;
  c.textAlign = "right";
  for (const tick of logTicks(low, high)) c.fillText(timeText(tick), left - 12, base - (base - top) * Math.log(tick / low) / Math.log(high / low) + 8);
  c.textAlign = "center";
  for (const tick of steps(from, to, Math.max(2, Math.floor(W / 130)))) c.fillText(secondsText(tick), left + (width - left - right) * (tick - from) / (to - from || 1), height - 12);
}
/* Quantiles on 1/(1-x): the tail has as much room as the rest. */
function quantilePlot(parent, lines) {
  const box = figure(parent, "Time by quantile", lines);
  const root = svg("svg", { viewBox: `0 0 ${W} 280`, role: "img", "aria-label": "Time by quantile" }, box);
  const most = Math.max(10, ...lines.map(l => l.sum.total)), decades = Math.min(Math.log10(most), 7);
  let low = Infinity, high = 0;
  for (const l of lines) {
    l.points = [];
    if (!l.sum.total) continue;
    const nines = [];
    for (let d = 0; d <= Math.log10(l.sum.total) + 1e-9 && d <= 7; d += 0.05) nines.push(d);
    const values = quantiles(l.sum, nines.map(d => 1 - 10 ** -d));
    nines.forEach((d, i) => l.points.push([d, values[i]]));
    for (const v of values) { if (v > 0 && v < low) low = v; if (v > high) high = v; }
  }
  if (!high) return;
  low = Math.max(low * 0.9, 1); high = Math.max(high * 1.1, low * 1.2);
  const x = d => LEFT + (W - LEFT - RIGHT) * d / decades, y = v => TOP + (280 - TOP - BOTTOM) * (1 - Math.log(Math.max(v, low) / low) / Math.log(high / low));
  for (const tick of logTicks(low, high)) {
    svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(tick), y2: y(tick) }, root);
    svg("text", { class: "tick", x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, root).textContent = timeText(tick);
  }
  for (const [share, name] of [[0, "0"], [0.5, "50 %"], [0.9, "90 %"], [0.99, "99 %"], [0.999, "99.9 %"], [0.9999, "99.99 %"], [0.99999, "99.999 %"]].filter((_, i) => W > 600 || i % 2 === 0)) {
    const d = -Math.log10(1 - share);
    if (d > decades) continue;
    svg("line", { class: "grid", x1: x(d), x2: x(d), y1: TOP, y2: 280 - BOTTOM }, root);
    svg("text", { class: "tick", x: x(d), y: 274, "text-anchor": "middle" }, root).textContent = name;
  }
  for (const l of lines) svg("path", { class: "line " + l.cls + (l.dash ? " dash" : ""), d: l.points.map(([d, v], i) => `${i ? "L" : "M"}${x(d).toFixed(1)} ${y(v).toFixed(1)}`).join("") }, root);
}
