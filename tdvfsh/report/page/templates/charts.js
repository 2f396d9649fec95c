/* Charts: each is drawn when it comes near the window, and again where the colour scheme or the width changes */
const CONFIG = { displayModeBar: false, responsive: false };
const NARROW = 560;
const isNarrow = () => document.documentElement.clientWidth < NARROW;
/* A long name in lines, so that names leave room for bars */
function broken(name) {
  const lines = [""], most = isNarrow() ? 15 : 40;
  for (const word of name.split(" ")) {
    if (lines.at(-1) && (lines.at(-1) + " " + word).length > most) lines.push("");
    lines.push((lines.pop() + " " + word).trim());
  }
  return lines.join("<br>");
}
const linesOf = (names) => Math.max(1, ...names.map((name) => broken(name).split("<br>").length));
function layout(more) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true, nticks: isNarrow() ? 4 : 8 };
  const plot = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), size: 12, family: "system-ui, sans-serif" },
    margin: { l: 10, r: 20, t: 10, b: 40 }, hoverlabel: { bgcolor: colour("ink"), font: { color: colour("paper") } }, showlegend: false, ...more,
  };
  for (const key of ["xaxis", "yaxis", "xaxis2", "yaxis2"]) if (plot[key] || key.length === 5) plot[key] = { ...axis, ...plot[key] };
  return plot;
}
function plotly() {
  if (!window.Plotly) {
    const script = document.createElement("script");
    script.textContent = $("plotly").textContent;
    document.head.append(script);
  }
  return window.Plotly;
}
function chart(id, data, more) {
  return plotly().react(id, data, layout({ height: reserve(id), ...more }), CONFIG);
}
/* The room of a chart is taken before it is drawn, so that nothing moves then */
function reserve(id) {
  const height = CHARTS[id].height();
  $(id).style.height = height + "px";
  return height;
}
const MIB = 2 ** 20;
const BARS = 600, BELOW_ROWS = 210;
function acceptRows() {
  const names = D.acceptKinds.map((kind) => kind.join(": "));
  return names.length * (8 + 18 * linesOf(names)) + 16;
}
/* Bars of one name, those that would lie within a pixel of each other as one */
function barsOf(events, apart) {
  const bars = [];
  for (const event of events) {
    const begin = TIMES[event[0]] / 1e6, end = begin + event[1] / 1e6, last = bars.at(-1);
    if (last && begin - last.end < apart) {
      last.end = end; last.bytes += event[4]; last.calls += event[5]; last.count += 1;
    } else bars.push({ begin, end, bytes: event[4], calls: event[5], count: 1, event });
  }
  return bars;
}
function barText(bar) {
  const event = bar.event;
  const where = bar.count > 1 ? bar.count + " accepts" : event[7] ? "again, after DMA" : event[3] === null ? "by the TD HOB list" : span(event[3], event[3] + event[4]);
  return "<b>" + size(bar.bytes) + "</b> " + where + "<br>" + bar.calls.toLocaleString("en") + " TDCALLs in modelled " + (bar.end - bar.begin).toFixed(3) +
    " ms<br>" + D.acceptStatuses[event[6]] + ", from record " + event[0];
}
function acceptsChart() {
  const events = new Map();
  for (const event of D.accepts) {
    const name = acceptName(event);
    if (!events.has(name)) events.set(name, []);
    events.get(name).push(event);
  }
  const whole = Math.max(...[...events.values()].map((some) => (TIMES[some.at(-1)[0]] + some.at(-1)[1]) / 1e6)), apart = whole / BARS;
  const data = [...events].map(([name, some]) => {
    const kind = some[0][7] ? "again" : some[0][3] === null ? "boot" : "demand", bars = barsOf(some, apart);
    return {
      type: "bar", orientation: "h", name, y: bars.map(() => broken(name)), base: bars.map((bar) => bar.begin), x: bars.map((bar) => bar.end - bar.begin),
      marker: { color: colour(kind), line: { color: colour("card"), width: bars.length > 40 ? 0 : 1 } }, customdata: bars.map(barText), hovertemplate: "%{customdata}<extra></extra>",
    };
  });
  const ends = [];
  let sum = 0;
  for (const event of D.accepts) {
    const begin = TIMES[event[0]] / 1e6;
    if (!ends.length || begin - ends.at(-1).at > apart) ends.push({ at: begin, sum });
    sum += event[4] / MIB;
    if (ends.length > 1 && ends.at(-1).at - ends.at(-2).at < apart / 2) ends.pop();
    ends.push({ at: begin + event[1] / 1e6, sum });
  }
  data.push({
    type: "scatter", mode: ends.length > 60 ? "lines" : "lines+markers", line: { color: colour("accent"), width: 2 }, marker: { size: 6 }, xaxis: "x", yaxis: "y2",
    x: ends.map((end) => end.at), y: ends.map((end) => end.sum), hovertemplate: "%{y:,.0f} MiB accepted by %{x:.3f} ms<extra></extra>",
  });
  const upper = acceptRows(), height = upper + BELOW_ROWS;
  return chart("accepts-chart", data, {
    barmode: "overlay", bargap: 0.35, xaxis: { title: { text: isNarrow() ? "modelled ms" : "modelled ms since the machine started" }, rangemode: "tozero", anchor: "y2" },
    yaxis: { domain: [1 - upper / height, 1], autorange: "reversed", type: "category", nticks: 0, tickmode: "linear", ticklabelstep: 1 },
    yaxis2: { domain: [0, 1 - (upper + 40) / height], title: { text: "MiB accepted" }, rangemode: "tozero", nticks: 4 },
  });
}
const POINTS = 500;
function useOverTime() {
  const quiet = new Set([7, D.unaccepted, D.hole, D.acceptedOnly, ...D.outside]);
  const used = {}, points = [];
  const painted = kept[0].copy();
  const add = (type, start, end, sign) => {
    if (quiet.has(type)) return;
    for (const [low, high] of D.ram) used[type] = (used[type] || 0) + sign * Math.max(0, Math.min(end, high) - Math.max(start, low));
  };
  for (const piece of painted.pieces(0, D.limit)) add(piece.type, piece.start, piece.end, 1);
  points.push([0, { ...used }]);
  const every = Math.max(1, Math.ceil(D.changes.length / POINTS));
  D.changes.forEach((change, at) => {
    const [after, , start, end, type] = change;
    for (const piece of painted.pieces(start, end)) add(piece.type, Math.max(piece.start, start), Math.min(piece.end, end), -1);
    painted.paint(start, end, type);
    add(type, start, end, 1);
    if (at % every === 0 || at === D.changes.length - 1) points.push([after + 1, { ...used }]);
  });
  points.push([N, { ...used }]);
  return points;
}
let use = null;
const useOf = () => (use = use || useOverTime());
function useTypes() {
  const USE = useOf();
  const types = [...new Set(USE.flatMap(([, used]) => Object.keys(used)))].map(Number);
  const highest = (type) => Math.max(...USE.map(([, used]) => used[type] || 0));
  return types.map((type) => [type, highest(type)]).filter(([, most]) => most).sort((one, two) => two[1] - one[1]);
}
function useChart() {
  const USE = useOf();
  const data = useTypes().map(([type]) => ({
    type: "scatter", mode: "lines", stackgroup: "all", line: { shape: "hv", width: 0.5, color: typeColour(type) }, fillcolor: typeColour(type), name: typeName(type),
    x: USE.map(([moment]) => moment), y: USE.map(([, used]) => (used[type] || 0) / MIB), hovertemplate: "%{y:,.2f} MiB",
  }));
  return chart("use-chart", data, {
    hovermode: "x unified", hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
    xaxis: { title: { text: "records of the journal" }, rangemode: "tozero" }, yaxis: { title: { text: "MiB" }, rangemode: "tozero" },
  }).then(() => {
    const host = $("use-chart");
    if (host.listening) return;
    host.listening = true;
    host.on("plotly_click", (event) => { setMoment(event.points[0].x); $("map").scrollIntoView(); });
  });
}
function useTable() {
  const first = useOf()[0][1], last = useOf().at(-1)[1];
  for (const [type, most] of useTypes()) {
    const row = $("use-table").tBodies[0].insertRow();
    for (const text of [typeName(type), size(first[type] || 0), size(most), size(last[type] || 0)]) row.insertCell().textContent = text;
    row.cells[0].prepend(swatch(typeClass(type)));
    for (const cell of [...row.cells].slice(1)) cell.className = "n";
  }
}
const policyNames = () => D.compared.map((row) => row[0] + " · " + row[1] + " · " + row[2]);
function policiesChart() {
  const shownAs = policyNames().map(broken);
  const opacity = D.compared.map((row) => row[3] ? 1 : 0.35);
  const results = D.compared.map((row) => row[3] ? "boots in modelled " + row[9] : row[4].replace("EFI_", "") + " at " + row[5]);
  const bar = (name, at, kind) => ({
    type: "bar", orientation: "h", name, y: shownAs, x: D.compared.map((row) => row[at] / MIB), marker: { color: colour(kind), opacity },
    customdata: D.compared.map((row, index) => [size(row[at]), results[index]]), hovertemplate: "%{customdata[0]}: %{customdata[1]}<extra>" + name + "</extra>",
  });
  const marks = {
    type: "scatter", mode: "text", y: shownAs, x: D.compared.map((row) => (row[6] + row[7] + row[8]) / MIB), hoverinfo: "skip",
    text: D.compared.map((row) => row[3] ? " ✓" : " ✗"), textposition: "middle right", cliponaxis: false,
    textfont: { size: 14, color: D.compared.map((row) => colour(row[3] ? "good" : "bad")) },
  };
  return chart("policies-chart", [bar("accepted at boot", 6, "boot"), bar("accepted on demand", 7, "demand"), bar("left to the OS", 8, "left"), marks], {
    barmode: "stack", bargap: 0.25, margin: { l: 10, r: 30, t: 10, b: 40 },
    xaxis: { title: { text: "MiB" } }, yaxis: { autorange: "reversed", type: "category", nticks: 0, tickmode: "linear" },
  });
}
const CHARTS = {
  "accepts-chart": { draw: acceptsChart, height: () => acceptRows() + BELOW_ROWS, of: D.accepts },
  "use-chart": { draw: useChart, height: () => 330, of: D.records },
  "policies-chart": { draw: policiesChart, height: () => 60 + D.compared.length * (8 + 17 * linesOf(policyNames())), of: D.compared },
};
const drawn = new Set();
function drawChart(id) {
  if (!$(id) || !CHARTS[id].of.length) return;
  drawn.add(id);
  CHARTS[id].draw();
  const tester = $("js-plotly-tester");
  if (tester) tester.setAttribute("aria-hidden", "true");
}
function drawAgain() { for (const id of drawn) drawChart(id); }
function drawAllCharts() { for (const id in CHARTS) if (!drawn.has(id)) drawChart(id); }
function charts() {
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target.id)) drawChart(entry.target.id);
  }, { rootMargin: "300px" });
  for (const id in CHARTS) {
    if (!$(id)) continue;
    if (!CHARTS[id].of.length) { $(id).closest("figure").hidden = true; continue; }
    reserve(id);
    near.observe($(id));
  }
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (width === document.documentElement.clientWidth) return;
    width = document.documentElement.clientWidth;
    drawAgain();
  });
}
