/* The slider, the table of the map, the legend, and the list of places */
function swatch(kind) {
  const mark = document.createElement("i");
  mark.className = "swatch " + kind;
  return mark;
}
function fillLegend() {
  const present = new Set();
  for (const [, , type] of D.first) present.add(type);
  for (const change of D.changes) present.add(change[4]);
  const entry = (kind, text) => {
    const item = document.createElement("li");
    item.append(swatch(kind), text);
    $("legend").append(item);
  };
  for (const type of [...present].sort((one, two) => one - two)) entry(typeClass(type), typeName(type));
  entry("boot", "accepted at boot");
  entry("demand", "accepted on demand");
  entry("left", "not accepted");
}
function fillTable() {
  if (!$("map-details").open) return;
  const body = $("map-table").tBodies[0];
  body.replaceChildren(...shown.pieces.map((piece) => {
    const row = document.createElement("tr");
    const there = shown.things.filter((thing) => thing[1] < piece.end && thing[2] > piece.start).map((thing) => thing[0]).join(", ");
    for (const text of [typeName(piece.type), hex(piece.start), hex(piece.end - 1), size(piece.end - piece.start), there]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      row.append(cell);
    }
    row.cells[3].className = "n";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = row.cells[1].textContent;
    button.addEventListener("click", () => { zoomAround(piece.start, piece.end); setCursor(piece); $("detail").focus(); });
    row.cells[1].replaceChildren(button);
    return row;
  }));
}
function fillPlaces() {
  const options = shown.things.map((thing) => {
    const option = document.createElement("option");
    option.value = thing[1] + " " + thing[2];
    option.textContent = thing[0] + " (" + size(thing[2] - thing[1]) + ")";
    return option;
  });
  $("goto").replaceChildren($("goto").options[0], ...options);
}
function setMoment(moment) {
  moment = Math.max(0, Math.min(N, moment));
  view.moment = moment;
  const painted = mapAt(moment);
  const from = moment ? changesUntil(moment - 1) : 0;
  shown = {
    painted, pieces: painted.pieces(0, D.limit), accepted: acceptedAt(moment, painted), things: thingsAt(moment),
    changed: moment === N ? [] : D.changes.slice(from, changesUntil(moment)),
  };
  if (view.cursor) view.cursor = pieceAt(view.cursor.start);
  const slider = $("moment"), changed = shown.changed.map((one) => typeName(one[4]) + " " + span(one[2], one[3])).slice(0, 3).join("; ");
  slider.value = String(moment);
  const text = momentText(moment);
  slider.setAttribute("aria-valuetext", text);
  $("moment-text").textContent = text + (changed ? "\nchanged: " + changed : "");
  fillPlaces();
  fillTable();
  markRows();
  draw();
}
function neighbour(direction) {
  if (direction > 0) {
    const next = D.changes[changesUntil(view.moment)];
    return next ? next[0] + 1 : N;
  }
  const at = changesUntil(view.moment - 1) - 1;
  return at >= 0 ? D.changes[at][0] + 1 : 0;
}
function markRows() {
  for (const row of document.querySelectorAll("tr.now")) { row.classList.remove("now"); row.removeAttribute("aria-current"); }
  for (const button of document.querySelectorAll('[data-moment="' + (view.moment - 1) + '"]')) {
    const row = button.closest("tr");
    if (row) { row.classList.add("now"); row.setAttribute("aria-current", "step"); }
  }
}
let playing = null;
function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => { if (view.moment >= N) play(false); else setMoment(neighbour(1)); }, 120) : null;
  $("play").setAttribute("aria-pressed", String(on));
  $("play").textContent = on ? "Pause" : "Play";
}
function listenMoment() {
  $("moment").addEventListener("input", () => { play(false); setMoment(Number($("moment").value)); });
  $("earlier").addEventListener("click", () => { play(false); setMoment(neighbour(-1)); });
  $("later").addEventListener("click", () => { play(false); setMoment(neighbour(1)); });
  $("play").addEventListener("click", () => {
    const on = playing === null;
    if (on && view.moment >= N) setMoment(0);
    play(on);
  });
  $("map-details").addEventListener("toggle", fillTable);
  $("goto").addEventListener("change", () => {
    const [start, end] = $("goto").value.split(" ").map(Number);
    if (end) { zoomAround(start, end); view.cursor = pieceAt(start); draw(); }
    $("goto").selectedIndex = 0;
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-moment],[data-from]");
    if (!button) return;
    play(false);
    if (button.dataset.moment !== undefined) setMoment(Number(button.dataset.moment) + 1);
    if (button.dataset.from !== undefined) zoomAround(Number(button.dataset.from), Number(button.dataset.to));
    $("map").scrollIntoView();
    $("detail").focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === ",") $("earlier").click();
    if (event.key === ".") $("later").click();
    if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  });
}
