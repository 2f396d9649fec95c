/* Charts, drawn again where the colour scheme changes */
const CONFIG = { displayModeBar: false, responsive: true };
function layout(more) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  const plot = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), size: 12, family: "system-ui, sans-serif" },
    margin: { l: 10, r: 10, t: 10, b: 40 }, hoverlabel: { bgcolor: colour("ink"), font: { color: colour("paper") } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" }, ...more,
  };
  for (const key of ["xaxis", "yaxis", "xaxis2", "yaxis2"]) if (plot[key] || key.length === 5) plot[key] = { ...axis, ...plot[key] };
  return plot;
}
function chart(id, data, more) {
  const plot = layout(more);
  if (plot.height) $(id).style.height = plot.height + "px";
  return Plotly.react(id, data, plot, CONFIG);
}
const MIB = 2 ** 20;
function acceptsChart() {
  if (!D.accepts.length) { $("accepts-chart").hidden = true; return; }
  const names = [...new Set(D.accepts.map((event) => event[3] + ": " + event[4]))];
  const data = names.map((name) => {
    const events = D.accepts.filter((event) => event[3] + ": " + event[4] === name);
    const kind = events[0][9] ? "again" : events[0][5] === null ? "boot" : "demand";
    return {
      type: "bar", orientation: "h", name, showlegend: false, y: events.map(() => name), base: events.map((event) => event[1] / 1e6),
      x: events.map((event) => event[2] / 1e6), marker: { color: colour(kind), line: { color: colour("card"), width: 1 } },
      customdata: events.map((event) => [event[0], size(event[6]), event[7], event[9] ? "again, after DMA" : event[5] === null ? "by the TD HOB list" : span(event[5], event[5] + event[6]), event[8], event[10]]),
      hovertemplate: "<b>%{customdata[1]}</b> %{customdata[3]}<br>%{customdata[2]} TDCALLs in modelled %{customdata[5]}<br>%{customdata[4]}, record %{customdata[0]}<extra></extra>",
    };
  });
  let sum = 0;
  const ends = D.accepts.flatMap((event) => [{ at: event[1] / 1e6, sum }, { at: (event[1] + event[2]) / 1e6, sum: (sum += event[6] / MIB) }]);
  data.push({
    type: "scatter", mode: "lines+markers", line: { color: colour("accent"), width: 2 }, marker: { size: 6 }, xaxis: "x", yaxis: "y2",
    showlegend: false, x: ends.map((end) => end.at), y: ends.map((end) => end.sum), hovertemplate: "%{y:,.0f} MiB accepted by %{x:.3f} ms<extra></extra>",
  });
  const rows = names.length, share = Math.min(0.62, 0.18 + rows * 0.1);
  chart("accepts-chart", data, {
    height: 250 + rows * 30, barmode: "overlay", bargap: 0.35, xaxis: { title: { text: "modelled milliseconds since the machine started" }, rangemode: "tozero", anchor: "y2" },
    yaxis: { domain: [1 - share, 1], autorange: "reversed", type: "category" }, yaxis2: { domain: [0, 0.9 - share], title: { text: "MiB accepted" }, rangemode: "tozero" },
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
const USE = useOverTime();
function useTypes() {
  const types = [...new Set(USE.flatMap(([, used]) => Object.keys(used)))].map(Number);
  const highest = (type) => Math.max(...USE.map(([, used]) => used[type] || 0));
  return types.map((type) => [type, highest(type)]).filter(([, most]) => most).sort((one, two) => two[1] - one[1]);
}
function useChart() {
  const data = useTypes().map(([type]) => ({
    type: "scatter", mode: "lines", stackgroup: "all", line: { shape: "hv", width: 0.5, color: typeColour(type) }, fillcolor: typeColour(type), name: typeName(type),
    x: USE.map(([moment]) => moment), y: USE.map(([, used]) => (used[type] || 0) / MIB), hovertemplate: "%{y:,.2f} MiB",
  }));
  chart("use-chart", data, {
    height: 330, hovermode: "x unified", hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
    xaxis: { title: { text: "records of the journal" }, rangemode: "tozero" }, yaxis: { title: { text: "MiB" }, rangemode: "tozero" },
  }).then(() => {
    const host = $("use-chart");
    if (host.listening) return;
    host.listening = true;
    host.on("plotly_click", (event) => { setMoment(event.points[0].x); $("map").scrollIntoView(); });
  });
}
function useTable() {
  const last = USE[USE.length - 1][1], first = USE[0][1];
  for (const [type, most] of useTypes()) {
    const row = $("use-table").tBodies[0].insertRow();
    for (const text of [typeName(type), size(first[type] || 0), size(most), size(last[type] || 0)]) row.insertCell().textContent = text;
    for (const cell of [...row.cells].slice(1)) cell.className = "n";
  }
}
function policiesChart() {
  if (!D.compared.length) return;
  const names = D.compared.map((row) => row[0] + " · " + row[1] + " · " + row[2]);
  const opacity = D.compared.map((row) => row[3] ? 1 : 0.35);
  const results = D.compared.map((row) => row[3] ? "boots in modelled " + row[9] : row[4].replace("EFI_", "") + " at " + row[5]);
  const bar = (name, at, kind) => ({
    type: "bar", orientation: "h", name, y: names, x: D.compared.map((row) => row[at] / MIB), marker: { color: colour(kind), opacity },
    customdata: D.compared.map((row, index) => [size(row[at]), results[index]]), hovertemplate: "%{customdata[0]}: %{customdata[1]}<extra>" + name + "</extra>",
  });
  const marks = {
    type: "scatter", mode: "text", showlegend: false, y: names, x: D.compared.map((row) => (row[6] + row[7] + row[8]) / MIB), hoverinfo: "skip",
    text: D.compared.map((row) => row[3] ? " ✓" : " ✗"), textposition: "middle right", cliponaxis: false,
    textfont: { size: 14, color: D.compared.map((row) => colour(row[3] ? "good" : "bad")) },
  };
  chart("policies-chart", [bar("accepted at boot", 6, "boot"), bar("accepted on demand", 7, "demand"), bar("left to the OS", 8, "left"), marks], {
    height: 130 + D.compared.length * 24, barmode: "stack", bargap: 0.25, margin: { l: 10, r: 30, t: 10, b: 40 }, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, traceorder: "normal" },
    xaxis: { title: { text: "MiB" } }, yaxis: { autorange: "reversed", type: "category" },
  });
}
function charts() {
  acceptsChart();
  useChart();
  policiesChart();
  const tester = $("js-plotly-tester");
  if (tester) tester.setAttribute("aria-hidden", "true");
}
