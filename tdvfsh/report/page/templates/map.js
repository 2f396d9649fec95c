/* The address space to scale: an overview, and a window into it */
const SVG = "http://www.w3.org/2000/svg";
const RULER = 34, THING = 20, MAP = 64, LANE = 16, GAP = 20, OVERVIEW = 30, FUNNEL = 18, MOST_ROWS = 6;
const view = { low: 0, high: D.limit, moment: N, cursor: null, marked: null };
let shown = { painted: null, pieces: [], accepted: null, things: [], changed: [] };

const measuring = document.createElement("canvas").getContext("2d");
measuring.font = "600 11px system-ui, \"DejaVu Sans\", sans-serif";
const widths = new Map();
function textWidth(text) {
  if (!widths.has(text)) widths.set(text, measuring.measureText(text).width);
  return widths.get(text);
}
const NARROWEST = 200;
const roomOf = (host) => Math.max(NARROWEST, host.clientWidth);
function element(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}
function hatch() {
  const svg = element(document.body, "svg", { width: 0, height: 0, "aria-hidden": "true", style: "position:absolute" });
  const pattern = element(element(svg, "defs", {}), "pattern",
    { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  element(pattern, "rect", { width: 5, height: 5, style: "fill: var(--t15)" });
  element(pattern, "rect", { width: 1.2, height: 5, style: "fill: var(--hatch)" });
}
const scale = (low, high, width) => (address) => (address - low) / (high - low) * width;

function drawPieces(svg, pieces, low, high, width, y, height, classOf) {
  const x = scale(low, high, width);
  const tiny = new Map();
  for (const piece of pieces) {
    if (piece.end <= low || piece.start >= high) continue;
    const left = Math.max(0, x(piece.start)), right = Math.min(width, x(piece.end));
    if (right - left >= 1) {
      element(svg, "rect", { x: left, y, width: right - left, height, class: classOf(piece.type) });
    } else {
      tiny.set(Math.floor(left) + " " + classOf(piece.type), [Math.floor(left), classOf(piece.type)]);
    }
  }
  for (const [left, kind] of tiny.values()) {
    if (kind !== "k7" && kind !== "k15") element(svg, "rect", { x: left, y, width: 1.4, height, class: kind });
  }
}
function ticks(svg, low, high, width, y) {
  let step = PAGE;
  const widest = 1.5 * Math.max(textWidth(hex(high)), textWidth("1023.99 MiB")) + 12; // one at the edge reaches further in
  while (width / ((high - low) / step) < widest) step *= 2;
  const x = scale(low, high, width);
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) {
    const place = x(at);
    element(svg, "line", { x1: place, x2: place, y1: y - 4, y2: y, class: "tick" });
    const half = Math.max(textWidth(size(at)), textWidth(hex(at))) / 2;
    const anchor = place < half ? "start" : place > width - half ? "end" : "middle";
    if (anchor !== "middle" && place > 1 && place < width - 1) continue; // moved aside, it would touch its neighbour
    element(svg, "text", { x: place, y: y - 19, "text-anchor": anchor, class: "on" }, at ? size(at) : "0");
    element(svg, "text", { x: place, y: y - 7, "text-anchor": anchor }, hex(at));
  }
}
function start(host, width, height, label) {
  host.replaceChildren();
  return element(host, "svg", { width, height, viewBox: "0 0 " + width + " " + height, role: "img", "aria-label": label });
}
const ACCEPT_CLASS = { 1: "accepted-boot", 2: "accepted-later", 3: "accepted-not" };

function drawOverview(width) {
  const svg = start($("overview"), width, 14 + OVERVIEW + FUNNEL, "All of the address space, with the window that is shown below");
  element(svg, "text", { x: 0, y: 10, class: "lane" }, "All " + size(D.limit));
  element(svg, "rect", { x: 0, y: 14, width, height: OVERVIEW, class: "nothing" });
  drawPieces(svg, shown.pieces, 0, D.limit, width, 14, OVERVIEW, typeClass);
  const x = scale(0, D.limit, width);
  const left = x(view.low), right = Math.max(left + 2, x(view.high)), y = 14 + OVERVIEW;
  element(svg, "rect", { x: left, y: 12, width: right - left, height: OVERVIEW + 4, class: "window" });
  element(svg, "path", { d: "M" + left + " " + y + "H" + right + "L" + width + " " + (y + FUNNEL) + "H0Z", class: "funnel" });
}
/* Names beside or inside their boxes; those that would touch go into a row of their own */
function stackThings(width) {
  const x = scale(view.low, view.high, width);
  const rows = [], placed = [];
  const largestFirst = [...shown.things].sort((one, two) => two[2] - two[1] - (one[2] - one[1]));
  for (const thing of largestFirst) {
    if (thing[2] <= view.low || thing[1] >= view.high) continue;
    const wide = textWidth(thing[0]);
    const left = Math.max(0, x(thing[1])), right = Math.min(width, Math.max(x(thing[2]), left + 1.5));
    const at = wide + 8 < right - left ? left + 4 : Math.min(right + 3, width - wide);
    const from = Math.min(left, at) - 4, to = Math.max(right, at + wide) + 4;
    let row = rows.findIndex((taken) => taken.every(([low, high]) => to < low || from > high));
    if (row < 0 && rows.length < MOST_ROWS) { row = rows.length; rows.push([]); }
    if (row < 0) continue;
    rows[row].push([from, to]);
    placed.push([thing, left, right, row, at]);
  }
  return [placed, Math.max(rows.length, 1)];
}
let lanes = {};
function drawDetail(width) {
  const [things, rows] = stackThings(width);
  const thingsTop = RULER + 6, mapTop = thingsTop + rows * THING + GAP, acceptTop = mapTop + MAP + GAP;
  const height = acceptTop + LANE + 4;
  lanes = { width, height, mapTop, acceptTop };
  const svg = start($("detail"), width, height, "Memory map from " + span(view.low, view.high));
  const x = scale(view.low, view.high, width);
  ticks(svg, view.low, view.high, width, RULER);
  for (const [thing, left, right, row, at] of things) {
    const y = thingsTop + row * THING;
    element(svg, "rect", { x: left, y, width: right - left, height: THING - 4, class: "thing", rx: 2 });
    element(svg, "text", { x: at, y: y + 12, class: "on" }, thing[0]);
  }
  if (!things.length) element(svg, "text", { x: 0, y: thingsTop + 12 }, D.things.length ? "nothing of the boot lies here now" : "");
  element(svg, "text", { x: 0, y: mapTop - 6, class: "lane" }, "Memory map");
  element(svg, "rect", { x: 0, y: mapTop, width, height: MAP, class: "nothing" });
  drawPieces(svg, shown.pieces, view.low, view.high, width, mapTop, MAP, typeClass);
  labels(svg, x, width, mapTop);
  element(svg, "text", { x: 0, y: acceptTop - 6, class: "lane" }, "Accepted");
  element(svg, "rect", { x: 0, y: acceptTop, width, height: LANE, class: "nothing" });
  drawPieces(svg, shown.accepted.pieces(view.low, view.high), view.low, view.high, width, acceptTop, LANE, (kind) => ACCEPT_CLASS[kind]);
  pageLines(svg, x, width, mapTop);
  const box = (from, to, kind, grow) => {
    if (to <= view.low || from >= view.high) return;
    const left = Math.max(0, x(from)), right = Math.min(width, Math.max(x(to), left + 2));
    element(svg, "rect", { x: left, y: mapTop - grow, width: right - left, height: MAP + 2 * grow, class: kind });
  };
  for (const change of shown.changed) box(change[2], change[3], "changed", 2);
  if (view.marked !== null) box(view.marked, view.marked + 1, "marked", 4);
  if (view.cursor) box(view.cursor.start, view.cursor.end, "cursor-box", 4);
  element(svg, "rect", { x: 0, y: mapTop, width, height: MAP, class: "frame" });
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
function typeColour(type) {
  if (type === D.acceptedOnly) return colour("tonly");
  return colour(type >= 0 && type < 16 ? "t" + type : "tother");
}
function isPale(text) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140;
}
function labels(svg, x, width, mapTop) {
  for (const piece of shown.pieces) {
    if (piece.end <= view.low || piece.start >= view.high) continue;
    const left = Math.max(0, x(piece.start)), right = Math.min(width, x(piece.end)), name = typeName(piece.type);
    if (right - left < Math.max(textWidth(name), textWidth(size(piece.end - piece.start))) + 10) continue;
    const group = element(svg, "g", {});
    const style = "fill: " + (isPale(typeColour(piece.type)) ? "#16191c" : "#ffffff");
    element(group, "text", { x: left + 6, y: mapTop + 18, class: "on", style: style + ";font-weight:600" }, name);
    element(group, "text", { x: left + 6, y: mapTop + 34, class: "on", style }, size(piece.end - piece.start));
  }
}
function pageLines(svg, x, width, mapTop) {
  if ((view.high - view.low) / PAGE > width / 8) return;
  for (let at = Math.ceil(view.low / PAGE) * PAGE; at < view.high; at += PAGE) {
    element(svg, "line", { x1: x(at), x2: x(at), y1: mapTop, y2: mapTop + MAP, class: "grid" });
  }
}
function draw() {
  const width = roomOf($("detail"));
  drawOverview(width);
  drawDetail(width);
  $("window-text").textContent = span(view.low, view.high) + "  (" + size(view.high - view.low) + ")";
}

/* Moving about */
function zoomTo(low, high) {
  const wide = Math.min(D.limit, Math.max(PAGE, high - low));
  const middle = (low + high) / 2;
  view.low = Math.round(Math.min(Math.max(0, middle - wide / 2), D.limit - wide));
  view.high = view.low + Math.round(wide);
  draw();
}
function zoomBy(factor, around) {
  const at = around === undefined ? (view.cursor && view.cursor.end > view.low && view.cursor.start < view.high
    ? (Math.max(view.cursor.start, view.low) + Math.min(view.cursor.end, view.high)) / 2 : (view.low + view.high) / 2) : around;
  const wide = Math.min(D.limit, Math.max(PAGE, (view.high - view.low) * factor));
  const share = (at - view.low) / (view.high - view.low);
  zoomTo(at - share * wide, at + (1 - share) * wide);
}
const pan = (share) => zoomTo(view.low + share * (view.high - view.low), view.high + share * (view.high - view.low));
function zoomAround(start, end) {
  const margin = (end - start) * 0.15;
  zoomTo(start - margin, end + margin);
}
const PLACES = {
  all: () => [0, D.limit],
  ram: () => [0, D.ram.length ? D.ram[D.ram.length - 1][1] : D.limit],
  low: () => {
    const taken = shown.pieces.filter((piece) => piece.type !== D.unaccepted && D.ram.some(([low, high]) => low <= piece.start && piece.start < high));
    return taken.length ? [0, taken[taken.length - 1].end] : [0, D.limit];
  },
  change: () => shown.changed.length
    ? [Math.min(...shown.changed.map((one) => one[2])), Math.max(...shown.changed.map((one) => one[3]))] : [view.low, view.high],
};
function goPlace(name) {
  const [low, high] = PLACES[name]();
  if (name === "all" || name === "ram") zoomTo(low, high); else zoomAround(low, high);
}

/* What is there */
function pieceText(piece, address) {
  const cause = causeAt(view.moment, address);
  const there = shown.things.filter((thing) => thing[1] < piece.end && thing[2] > piece.start).map((thing) => thing[0]);
  const accepted = ACCEPT_NAMES[shown.accepted.values[shown.accepted.index(address)]];
  return typeName(piece.type) + "\n" + span(piece.start, piece.end) + "\n" + size(piece.end - piece.start) + ", " +
    ((piece.end - piece.start) / PAGE).toLocaleString("en") + " pages" + (accepted ? "\n" + accepted : "") +
    (there.length ? "\nholds " + there.join(", ") : "") +
    (cause >= 0 ? "\nby record " + cause + ": " + serviceOf(cause) : "");
}
const pieceAt = (address) => shown.pieces.find((piece) => piece.start <= address && address < piece.end) || null;
function setCursor(piece) {
  view.cursor = piece;
  if (piece && (piece.end <= view.low || piece.start >= view.high)) {
    const wide = view.high - view.low, middle = (piece.start + piece.end) / 2;
    zoomTo(middle - wide / 2, middle + wide / 2);
  } else draw();
  $("cursor-text").textContent = piece ? pieceText(piece, piece.start).replaceAll("\n", ", ") : "";
}
function stepCursor(direction) {
  const pieces = shown.pieces;
  let at;
  if (view.cursor) {
    at = lowerBound(pieces, view.cursor.start, (piece) => piece.start);
    at = direction > 0 ? (pieces[at] && pieces[at].start === view.cursor.start ? at + 1 : at) : at - 1;
  } else at = Math.max(0, pieces.findIndex((piece) => piece.end > view.low));
  if (pieces[at]) setCursor(pieces[at]);
}
function addressAt(event, host, low, high) {
  const box = host.getBoundingClientRect();
  return low + (event.clientX - box.left) / box.width * (high - low);
}
function tip(event, text) {
  const tipBox = $("tip");
  tipBox.hidden = !text;
  if (!text) return;
  tipBox.textContent = text;
  const box = tipBox.getBoundingClientRect();
  tipBox.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
  tipBox.style.top = (event.clientY + 20 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 20) + "px";
}
function hoverText(event) {
  const detail = $("detail"), address = addressAt(event, detail, view.low, view.high);
  const y = event.clientY - detail.getBoundingClientRect().top;
  if (y < lanes.mapTop - 6) {
    const near = (view.high - view.low) / lanes.width * 3;
    const things = shown.things.filter((thing) => thing[1] - near <= address && address < thing[2] + near);
    return things.map((thing) => thing[0] + "\n" + span(thing[1], thing[2]) + "\n" + size(thing[2] - thing[1])).join("\n\n");
  }
  const piece = pieceAt(address);
  if (!piece) return "no memory\n" + hex(Math.floor(address));
  const pixel = (view.high - view.low) / lanes.width;
  const near = shown.pieces.filter((one) => one.end > address - pixel && one.start < address + pixel).length - 1;
  return pieceText(piece, address) + (near > 0 ? "\n" + near + " more within a pixel: zoom in" : "");
}
function listen() {
  const detail = $("detail"), overview = $("overview");
  let drag = null, box = null, lastClick = { at: -1000, x: 0 };
  detail.addEventListener("pointermove", (event) => {
    if (drag === null) { tip(event, hoverText(event)); return; }
    if (Math.abs(event.clientX - drag) < 4) return;
    const left = detail.getBoundingClientRect().left, low = Math.min(drag, event.clientX) - left;
    if (!box || !box.isConnected) box = element(detail.firstChild, "rect", { class: "window", y: lanes.mapTop, height: MAP });
    box.setAttribute("x", low);
    box.setAttribute("width", Math.abs(event.clientX - drag));
    tip(event, "");
  });
  detail.addEventListener("pointerleave", (event) => tip(event, ""));
  detail.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = event.clientX;
    detail.setPointerCapture(event.pointerId);
  });
  detail.addEventListener("pointerup", (event) => {
    if (drag === null) return;
    const from = addressAt({ clientX: Math.min(drag, event.clientX) }, detail, view.low, view.high);
    const to = addressAt({ clientX: Math.max(drag, event.clientX) }, detail, view.low, view.high);
    const dragged = Math.abs(event.clientX - drag) >= 4;
    drag = box = null;
    if (dragged) { zoomTo(from, to); return; }
    const piece = pieceAt(from), again = event.timeStamp - lastClick.at < 450 && Math.abs(event.clientX - lastClick.x) < 5;
    lastClick = { at: again ? -1000 : event.timeStamp, x: event.clientX };
    setCursor(piece);
    if (again && piece) zoomAround(piece.start, piece.end);
  });
  detail.addEventListener("pointercancel", () => { drag = box = null; draw(); });
  detail.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== detail) return;
    event.preventDefault();
    zoomBy(event.deltaY > 0 ? 1.25 : 0.8, addressAt(event, detail, view.low, view.high));
  }, { passive: false });
  detail.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const actions = {
      ArrowRight: () => event.shiftKey ? pan(0.1) : stepCursor(1), ArrowLeft: () => event.shiftKey ? pan(-0.1) : stepCursor(-1),
      PageDown: () => pan(1), PageUp: () => pan(-1), "+": () => zoomBy(0.5), "=": () => zoomBy(0.5), "-": () => zoomBy(2),
      Home: () => goPlace("all"), 0: () => goPlace("all"), Enter: () => view.cursor && zoomAround(view.cursor.start, view.cursor.end),
      Escape: () => { tip(event, ""); setCursor(null); },
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
  const move = (event) => {
    if (!event.buttons) return;
    const middle = addressAt(event, overview, 0, D.limit), wide = view.high - view.low;
    zoomTo(middle - wide / 2, middle + wide / 2);
  };
  overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); move(event); });
  overview.addEventListener("pointermove", move);
  $("zoom-in").addEventListener("click", () => zoomBy(0.5));
  $("zoom-out").addEventListener("click", () => zoomBy(2));
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => goPlace(button.dataset.zoom));
  new ResizeObserver(() => { if (lanes.width !== roomOf(detail)) draw(); }).observe(detail);
}
