// The server's news, and the choices of the person at the page. Everything is rendered from
// here, once in a frame however much has changed.

import { h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export const html = htm.bind(h);

/** Of every list so many entries are rendered. The rest is counted. */
export const LISTED_AT_MOST = 40;
const LINES_AT_MOST = 200;

const KINDS = ["account", "end", "incoming", "landed", "emulator", "outgoing", "queue", "report", "row"];

/** Things by kind and key, newest last. */
export const things = {};
/** The functions' log lines, newest last. */
export const lines = [];
/** The last line of each event, also when newer ones have pushed it out of the list. */
const lastLines = new Map();
export const ui = {
  connected: null,
  faults: null,
  phones: ["+254700000001", "+254700000002"],
  phone: "+254700000001",
  dialog: null,
  error: null,
};

let render = () => {};
let isDue = false;
const listeners = [];

export function onRender(callback) {
  render = callback;
}

/** Called with each piece of news, after it was stored. */
export function onNews(callback) {
  listeners.push(callback);
}

/** Has everything rendered in the next frame. */
export function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    render();
  });
}

export function choose(choice) {
  Object.assign(ui, choice);
  changed();
}

function forgetEverything() {
  for (const kind of KINDS) things[kind] = new Map();
  lines.length = 0;
  lastLines.clear();
}
forgetEverything();

function take(news) {
  if (news.whole) forgetEverything();
  const before = new Map();
  const keys = Object.keys(news.things);
  for (const key of keys) {
    const slash = key.indexOf("/");
    const kind = slash < 0 ? key : key.slice(0, slash);
    const all = things[kind];
    if (!all) continue;
    const id = key.slice(slash + 1);
    before.set(key, all.get(id));
    all.set(id, news.things[key]);
  }
  lines.push(...news.lines);
  for (const line of news.lines) {
    // Again at the end: the order is that of the last occurrence.
    lastLines.delete(line.event);
    lastLines.set(line.event, line);
  }
  lines.splice(0, lines.length - LINES_AT_MOST);
  for (const listener of listeners) listener(news, before);
  changed();
}

/** The last line of any of these events. */
export function lastLine(...events) {
  return [...lastLines.values()].findLast((line) => events.includes(line.event));
}

export function listen() {
  const events = new EventSource("/events");
  events.addEventListener("open", () => choose({ connected: true }));
  events.addEventListener("error", () => choose({ connected: false }));
  events.addEventListener("news", (event) => take(JSON.parse(event.data)));
}

/** Asks the server to do something. Its effects come as news. */
export async function act(method, path, body) {
  const isText = typeof body === "string";
  try {
    const answer = await fetch(path, {
      method,
      headers: body && !isText ? { "content-type": "application/json" } : {},
      body: isText ? body : body && JSON.stringify(body),
    });
    if (!answer.ok) {
      const answered = await answer.json().catch(() => ({}));
      throw new Error(answered.error ?? `the sandbox answered ${answer.status}`);
    }
    choose({ error: null });
    return true;
  } catch (error) {
    choose({ error: error.message });
    return false;
  }
}

const bornAt = (thing) => thing.at_ms ?? thing.first_offered_ms ?? thing.trail?.[0].at_ms ?? 0;

/** The newest of some things, newest first. */
export function newest(some, count = LISTED_AT_MOST) {
  return [...some].sort((a, b) => bornAt(b) - bornAt(a)).slice(0, count);
}

export function older(total) {
  return total > LISTED_AT_MOST
    ? html`<p class="quiet older">and ${total - LISTED_AT_MOST} older ones</p>`
    : null;
}
