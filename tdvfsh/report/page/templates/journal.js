/* Search in the journal */
const SHOWN = 50;
let matches = [], limit = SHOWN;
const plain = [];
const causes = new Set(D.changes.map((change) => change[1]));
function plainText(number) {
  if (plain[number] === undefined) {
    const record = recordAt(number);
    plain[number] = (record.caller + " " + record.call + " " + record.status + " " + record.results).toLowerCase();
  }
  return plain[number];
}
function search() {
  const text = $("search").value.trim().toLowerCase(), words = text.split(/\s+/).filter(Boolean);
  const address = /^0x[0-9a-f]+$/.test(text) ? parseInt(text, 16) : null;
  const touching = new Set();
  if (address !== null) {
    for (const change of D.changes) if (change[2] <= address && address < change[3]) touching.add(change[1]);
  }
  matches = [];
  for (let number = 0; number < N; number += 1) {
    if ($("only-failed").checked && !D.shapes[D.records[number][0]][5]) continue;
    if ($("only-changes").checked && !causes.has(number)) continue;
    const found = address !== null
      ? touching.has(number) || plainText(number).includes("=" + address.toString(16))
      : words.every((word) => plainText(number).includes(word));
    if (found) matches.push(number);
  }
  limit = SHOWN;
  let there = "";
  view.marked = address;
  if (address !== null && address < D.limit) {
    const piece = pieceAt(address);
    there = "; " + hex(address) + " is " + (piece ? typeName(piece.type) + " " + span(piece.start, piece.end) : "no memory");
    if (piece && (address < view.low || address >= view.high)) zoomAround(piece.start, piece.end); else draw();
  } else draw();
  $("search-text").textContent = matches.length + " of " + N + " records" + there;
  showMatches();
}
function showMatches() {
  const rows = matches.slice(0, limit).map((number) => {
    const record = recordAt(number), row = document.createElement("tr");
    if (record.failed) row.className = "failed";
    const cells = { No: number, ms: milliseconds(record.time), Caller: record.caller, Call: record.call, Status: record.status.replace("EFI_", ""), Results: record.results };
    for (const name in cells) {
      const cell = row.insertCell();
      cell.textContent = cells[name];
      cell.dataset.label = name;
    }
    row.cells[0].className = row.cells[1].className = "n";
    row.cells[4].className = "status";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.dataset.moment = number;
    button.textContent = number;
    row.cells[0].replaceChildren(button);
    return row;
  });
  $("journal-table").tBodies[0].replaceChildren(...rows);
  $("more").hidden = matches.length <= limit;
  $("more").textContent = "Show " + Math.min(SHOWN, matches.length - limit) + " more of " + (matches.length - limit);
}
function listenJournal() {
  $("search-form").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["search", "only-failed", "only-changes"]) $(id).addEventListener("input", search);
  $("more").addEventListener("click", () => { limit += SHOWN; showMatches(); });
}
