// Every SMS that is under way, as a dot. A dot moves when the server has told that its SMS is
// somewhere else, and for no other reason; the way between two places is the only one there is.

import { onNews, things } from "./store.js";

/** More dots are not drawn; the numbers beside the places count all. */
const DOTS_AT_MOST = 60;
/** From dot to dot where they lie side by side, in pixels. */
export const DOT_EVERY = 11;
const HOP_MS = 260;
const LONGEST_MS = 1500;

/** The stations of each kind of dot, in order. */
const LINES = {
  incoming: ["at", "incoming-messages", "exchange", "medic-exchange", "medic"],
  outgoing: ["medic", "medic-exchange", "outbox", "outbound-sender", "at"],
  report: ["at", "delivery-reports", "reports", "report-recorder", "ledger"],
  status: ["ledger", "medic-exchange", "medic"],
};

/** Where a place lies on the line of its kind. */
const STATIONS = {
  incoming: { phone: "at", "africas-talking": "at", nowhere: "exchange" },
  outgoing: { phone: "at", "africas-talking": "at", ledger: "outbox", failed: "outbound-sender" },
  report: { "africas-talking": "at" },
  status: {},
};

/** Places beside a line, and the station from which they are reached. */
const BESIDE = {
  "exchange-dead-letter": "exchange",
  "outbox-dead-letter": "outbox",
  "reports-dead-letter": "reports",
};

/** Where a dot has come to its end. */
const ENDS = {
  incoming: ["medic"],
  outgoing: ["phone", "failed"],
  report: ["ledger"],
  status: ["medic"],
};

/** The stations from one place to another, both included. */
export function route(kind, from, to) {
  const line = LINES[kind];
  const station = (place) => BESIDE[place] ?? STATIONS[kind][place] ?? place;
  const [begin, end] = [line.indexOf(station(from)), line.indexOf(station(to))];
  if (begin < 0 || end < 0) return [];
  const step = begin <= end ? 1 : -1;
  const stations = [];
  for (let at = begin; at !== end + step; at += step) stations.push(line[at]);
  if (BESIDE[from]) stations.unshift(from);
  if (BESIDE[to]) stations.push(to);
  return stations;
}

export class Dots {
  constructor(open) {
    this.open = open;
    this.dots = new Map();
    this.geometry = null;
    this.layer = null;
    onNews((news, before) => this.take(news, before));
  }

  /** Draws into this element, by this geometry: `point(kind, station)` gives the middle of one. */
  draw(layer, geometry) {
    this.layer = layer;
    this.geometry = geometry;
    for (const dot of this.dots.values()) {
      layer.append(dot.element);
      if (dot.waypoints.length === 0) this.rest(dot);
    }
  }

  take(news, before) {
    if (news.whole) this.clear();
    for (const [key, thing] of Object.entries(news.things)) {
      const [kind, id] = [key.slice(0, key.indexOf("/")), key.slice(key.indexOf("/") + 1)];
      const old = before.get(key);
      if (kind === "incoming" || kind === "outgoing" || kind === "report") {
        this.moved(kind, key, id, old?.place ?? this.birthplace(kind, news), thing.place);
      }
      if (kind === "outgoing" && !news.whole && thing.reported && thing.reported !== old?.reported) {
        this.moved("status", `status/${id}/${thing.reported}`, id, "ledger", "medic");
      }
    }
  }

  /** Where something was before it was first seen; nowhere else than now, for what is old. */
  birthplace(kind, news) {
    return news.whole ? null : LINES[kind][0];
  }

  moved(kind, key, id, from, to) {
    const isAtEnd = ENDS[kind].includes(to);
    let dot = this.dots.get(key);
    if (!dot && (from === to || from === null) && isAtEnd) return;
    if (!dot) {
      if (this.dots.size >= DOTS_AT_MOST) return;
      dot = this.add(kind, key, id, from ?? to);
    }
    if (dot.place !== to) dot.waypoints.push(...route(kind, dot.place, to).slice(1));
    dot.place = to;
    dot.isAtEnd = isAtEnd;
    if (!dot.animation) this.go(dot);
  }

  add(kind, key, id, place) {
    const element = document.createElement("span");
    element.className = `dot ${kind}`;
    element.addEventListener("click", () => this.open(kind, id));
    this.layer?.append(element);
    const dot = { kind, key, element, place, at: null, waypoints: [], animation: null, isAtEnd: false };
    this.dots.set(key, dot);
    dot.at = this.geometry ? this.point(dot, route(kind, place, place)[0]) : null;
    return dot;
  }

  point(dot, station) {
    return this.geometry.point(dot.kind, station);
  }

  /** Lets a dot travel on, or come to rest. */
  go(dot) {
    if (!this.geometry) return;
    if (dot.waypoints.length === 0) {
      if (dot.isAtEnd) this.remove(dot);
      else this.rest(dot);
      return;
    }
    const points = dot.waypoints.flatMap((station, index) => {
      const last = index === 0 ? null : dot.waypoints[index - 1];
      return [...this.geometry.between(dot.kind, last, station), this.point(dot, station)];
    });
    const stations = dot.waypoints.length;
    dot.waypoints = [];
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden;
    const begin = dot.at ?? points[0];
    dot.at = points.at(-1);
    if (isStill) {
      this.go(dot);
      return;
    }
    const frames = [begin, ...points].map(([x, y]) => ({ transform: `translate(${x}px, ${y}px)` }));
    dot.element.classList.add("moving");
    dot.animation = dot.element.animate(frames, {
      duration: Math.min(stations * HOP_MS + 200, LONGEST_MS),
      easing: "ease-in-out",
      fill: "forwards",
    });
    dot.animation.onfinish = () => {
      dot.animation.cancel();
      dot.animation = null;
      dot.element.classList.remove("moving");
      this.put(dot, dot.at);
      this.go(dot);
    };
  }

  put(dot, [x, y]) {
    dot.element.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** Lays a dot beside the others of its place. */
  rest(dot) {
    const station = route(dot.kind, dot.place, dot.place).at(-1);
    if (!this.geometry || !station) return;
    let before = 0;
    for (const other of this.dots.values()) {
      if (other === dot) break;
      if (other.place === dot.place && other.kind === dot.kind) before += 1;
    }
    const [x, y] = this.point(dot, station);
    // Where there is no more room, they lie on the last.
    const last = this.geometry.slots(station) - 1;
    const slot = Math.min(before, last) - last / 2;
    dot.at = [x + slot * DOT_EVERY, y + this.geometry.restBelow(station)];
    dot.element.classList.toggle("lost", dot.place === "nowhere");
    this.put(dot, dot.at);
  }

  remove(dot) {
    dot.element.remove();
    this.dots.delete(dot.key);
    for (const other of this.dots.values()) if (!other.animation) this.rest(other);
  }

  clear() {
    for (const dot of this.dots.values()) {
      dot.animation?.cancel();
      dot.element.remove();
    }
    this.dots.clear();
  }
}

/** How many SMS are in a place. */
export function countIn(kind, place) {
  let count = 0;
  for (const thing of things[kind].values()) if (thing.place === place) count += 1;
  return count;
}
