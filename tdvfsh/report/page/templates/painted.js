"use strict";
const D = JSON.parse(document.getElementById("facts").textContent);
const N = D.records.length;
const PAGE = 4096;
const $ = (id) => document.getElementById(id);

/* Text */
const UNITS = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];
function size(bytes) {
  for (const [name, scale] of UNITS) {
    if (bytes >= scale) return (bytes % scale ? (bytes / scale).toFixed(2) : String(bytes / scale)) + " " + name;
  }
  return bytes + " B";
}
const hex = (address) => "0x" + address.toString(16);
const span = (start, end) => hex(start) + " – " + hex(end - 1);
const milliseconds = (ns) => (ns / 1e6).toFixed(3);
const typeName = (type) => D.types[type] || "nothing";
function typeClass(type) {
  if (type === D.acceptedOnly) return "konly";
  return type >= 0 && type < 16 ? "k" + type : "sw";
}

/* Records: a shape that has the words, and numbers for its marks */
const HEX = "\u0001", MARKS = /[\u0001\u0002]/g;
const TIMES = new Float64Array(N);
D.records.reduce((time, record, number) => (TIMES[number] = time + record[2]), 0);
function recordAt(number) {
  const record = D.records[number];
  const [caller, service, given, status, results, failed] = D.shapes[record[0]];
  let at = 3;
  const filled = (text) => text.replace(MARKS, (mark) => mark === HEX ? hex(record[at++]) : String(record[at++]));
  return { number, time: TIMES[number], caller, call: service + "(" + filled(given) + ")", status, results: filled(results), failed };
}
const serviceOf = (number) => { const [caller, service] = D.shapes[D.records[number][0]]; return caller + " " + service; };
function momentText(moment) {
  if (moment === 0) return "before the first record";
  const record = recordAt(moment - 1);
  return "record " + record.number + " of " + (N - 1) + ", " + milliseconds(record.time) + " ms: " +
    record.caller + " " + record.call + " → " + (record.status || "still running") + (record.results ? " " + record.results : "");
}

/* A value for every address */
function lowerBound(list, value, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < value) low = middle + 1; else high = middle;
  }
  return low;
}
const same = (value) => value;
class Painted {
  constructor(starts, values) { this.starts = starts || [0]; this.values = values || [D.hole]; }
  copy() { return new Painted(this.starts.slice(), this.values.slice()); }
  index(address) {
    const at = lowerBound(this.starts, address, same);
    return this.starts[at] === address ? at : at - 1;
  }
  cut(address) {
    const at = lowerBound(this.starts, address, same);
    if (this.starts[at] !== address) {
      this.starts.splice(at, 0, address);
      this.values.splice(at, 0, this.values[at - 1]);
    }
    return at;
  }
  paint(start, end, value) {
    let low = this.cut(start), high = this.cut(end);
    if (low && this.values[low - 1] === value) { low -= 1; start = this.starts[low]; }
    if (this.values[high] === value) high += 1;
    this.starts.splice(low, high - low, start);
    this.values.splice(low, high - low, value);
  }
  pieces(from, to) {
    const found = [];
    for (let at = this.index(from); at < this.starts.length && this.starts[at] < to; at += 1) {
      const end = at + 1 < this.starts.length ? this.starts[at + 1] : 2 ** 64;
      if (this.values[at] !== D.hole) found.push({ start: this.starts[at], end, type: this.values[at] });
    }
    return found;
  }
}

/* The map at any moment: kept every so many changes, painted on from there */
const KEPT_EVERY = 256;
const kept = [];
function keepFirst() {
  const first = new Painted();
  for (const [start, end, type] of D.first) first.paint(start, end, type);
  kept.push(first);
}
keepFirst();
const changesUntil = (moment) => lowerBound(D.changes, moment, (change) => change[0]);
function mapAt(moment) {
  const count = changesUntil(moment);
  let index = Math.min(Math.floor(count / KEPT_EVERY), kept.length - 1);
  let painted = kept[index].copy();
  for (let at = index * KEPT_EVERY; at < count; at += 1) {
    const [, , start, end, type] = D.changes[at];
    painted.paint(start, end, type);
    if ((at + 1) % KEPT_EVERY === 0 && kept.length === (at + 1) / KEPT_EVERY) kept.push(painted.copy());
  }
  return painted;
}
const AT_BOOT = 1, LATER = 2, NOT_YET = 3;
const ACCEPT_NAMES = { 1: "accepted at boot", 2: "accepted on demand", 3: "not accepted" };

/* Accepts: [record, nanoseconds, who and why, start or null, bytes, TDCALLs, status, after DMA] */
const acceptName = (event) => D.acceptKinds[event[2]].join(": ");
const acceptedLane = { painted: null, count: 0 };
function laneUntil(count) {
  if (!acceptedLane.painted || acceptedLane.count > count) {
    acceptedLane.painted = new Painted();
    acceptedLane.count = 0;
    for (const [start, end] of D.ram) acceptedLane.painted.paint(start, end, AT_BOOT);
  }
  for (; acceptedLane.count < count; acceptedLane.count += 1) {
    const event = D.accepts[acceptedLane.count];
    if (event[3] !== null && event[4]) acceptedLane.painted.paint(event[3], event[3] + event[4], LATER);
  }
  return acceptedLane.painted.copy();
}
function acceptedAt(moment, painted) {
  const lane = laneUntil(lowerBound(D.accepts, moment, (event) => event[0]));
  for (const piece of painted.pieces(0, D.limit)) {
    if (piece.type === D.unaccepted) lane.paint(piece.start, piece.end, NOT_YET);
  }
  return lane;
}
const thingsAt = (moment) => D.things.filter((thing) => thing[3] < moment && (thing[4] === null || moment <= thing[4]));
function causeAt(moment, address) {
  for (let at = changesUntil(moment) - 1; at >= 0; at -= 1) {
    if (D.changes[at][2] <= address && address < D.changes[at][3]) return D.changes[at][1];
  }
  return -1;
}
