// The picture of the bridge: the five functions, the three queues and the ledger.

import { Component, createRef } from "./vendor/preact.mjs";
import { DOT_EVERY, Dots, countIn } from "./dots.js";
import { act, choose, html, lastLine, lines, things } from "./store.js";
import { inWords, sentence, time, times, until } from "./words.js";

/** Below this width, in pixels, the picture stands on its end. */
const NARROW = 560;
const LINES_LISTED = 60;

const BOXES = [
  { id: "at", kind: "end", title: "Africa's Talking", about: "carries SMS to and from phones" },
  { id: "incoming-messages", kind: "function", about: "says 200 only when the queue has the SMS" },
  { id: "exchange", kind: "queue", title: "exchange.fifo", queue: "exchange", about: "keeps SMS for Medic, in order" },
  { id: "medic-exchange", kind: "function", about: "one request to Medic at a time" },
  { id: "medic", kind: "end", title: "Medic", about: "stores reports, wants SMS sent" },
  { id: "outbox", kind: "queue", queue: "outbox", about: "keeps SMS for phones" },
  { id: "outbound-sender", kind: "function", about: "sends each once, notes it first" },
  { id: "delivery-reports", kind: "function", about: "takes delivery reports" },
  { id: "reports", kind: "queue", queue: "reports", about: "keeps delivery reports" },
  { id: "report-recorder", kind: "function", about: "a status only ever rises" },
  { id: "ledger", kind: "ledger", about: "what is known of each message" },
];

/** The middle of each box, as parts of the width and in pixels, and its size. */
const WIDE = {
  height: 400,
  boxes: {
    at: [0.065, 200, 88, 344],
    "incoming-messages": [0.255, 66, 132, 60],
    exchange: [0.475, 66, 132, 62],
    "medic-exchange": [0.7, 130, 132, 180],
    medic: [0.925, 130, 96, 180],
    outbox: [0.475, 190, 132, 62],
    "outbound-sender": [0.255, 190, 132, 60],
    "delivery-reports": [0.255, 332, 132, 60],
    reports: [0.475, 332, 132, 62],
    "report-recorder": [0.7, 332, 132, 60],
    ledger: [0.925, 332, 96, 62],
  },
  rows: { incoming: 66, outgoing: 190, report: 332, status: 190 },
  /** Where functions write into the ledger. */
  bus: { y: 268, from: 0.255, through: 0.7, to: 0.925 },
};
const TALL = {
  height: 500,
  boxes: {
    at: [0.5, 30, 0.98, 44],
    "incoming-messages": [0.17, 112, 0.31, 54],
    exchange: [0.17, 200, 0.31, 66],
    "medic-exchange": [0.335, 330, 0.64, 54],
    medic: [0.335, 440, 0.64, 54],
    outbox: [0.5, 200, 0.31, 66],
    "outbound-sender": [0.5, 112, 0.31, 54],
    "delivery-reports": [0.83, 112, 0.31, 54],
    reports: [0.83, 200, 0.31, 66],
    "report-recorder": [0.83, 330, 0.31, 54],
    ledger: [0.83, 440, 0.31, 54],
  },
  columns: { incoming: 0.17, outgoing: 0.5, report: 0.83, status: 0.5 },
};

const TRAYS = { "exchange-dead-letter": "exchange", "outbox-dead-letter": "outbox", "reports-dead-letter": "reports" };

/** Where everything is drawn at this width. */
function geometryOf(width) {
  const isNarrow = width < NARROW;
  const plan = isNarrow ? TALL : WIDE;
  const box = (id) => {
    const [x, y, w, h] = plan.boxes[id];
    return { x: x * width, y, w: w <= 1 ? w * width : w, h };
  };
  const tray = (id) => {
    const { x, y, h } = box(TRAYS[id]);
    return [x, y + h / 2 + 12];
  };
  return {
    width,
    height: plan.height,
    isNarrow,
    box,
    tray,
    point(kind, station) {
      if (TRAYS[station]) return tray(station);
      const { x, y } = box(station);
      if (station === "ledger") return [x, y];
      return isNarrow ? [plan.columns[kind] * width, y] : [x, plan.rows[kind]];
    },
    /** Points on the way to a station that is not straight ahead. */
    between(kind, _last, station) {
      if (isNarrow || kind !== "status" || station !== "medic-exchange") return [];
      return [
        [WIDE.bus.to * width, WIDE.bus.y],
        [WIDE.bus.through * width, WIDE.bus.y],
      ];
    },
    /** How far below the line dots lie. */
    restBelow: (station) => (TRAYS[station] || box(station).h > 100 ? 0 : 18),
    /** How many dots have a place side by side. */
    slots(station) {
      const across = TRAYS[station] ? 60 : isNarrow ? 0.31 * width : box(station).w;
      return Math.max(1, Math.floor((across - 18) / DOT_EVERY));
    },
  };
}

function edges(g) {
  const middle = (id) => [g.box(id).x, g.box(id).y];
  // The arrow is in the middle of the gap between two boxes.
  const line = (kind, from, to) => {
    const [a, b] = [g.point(kind, from), g.point(kind, to)];
    const along = g.isNarrow ? 1 : 0;
    const size = (id) => (g.isNarrow ? g.box(id).h : g.box(id).w) / 2;
    const way = Math.sign(b[along] - a[along]);
    const middle = [...a];
    middle[along] = (a[along] + way * size(from) + b[along] - way * size(to)) / 2 + way * 3;
    return `M${a[0]} ${a[1]}L${middle[0]} ${middle[1]}L${b[0]} ${b[1]}`;
  };
  const straight = [
    ["incoming", ["at", "incoming-messages", "exchange", "medic-exchange", "medic"]],
    ["outgoing", ["medic", "medic-exchange", "outbox", "outbound-sender", "at"]],
    ["report", ["at", "delivery-reports", "reports", "report-recorder", "ledger"]],
  ].flatMap(([kind, stations]) =>
    stations.slice(1).map((to, index) => [kind, line(kind, stations[index], to)]),
  );
  const [lx, ly] = middle("ledger");
  const notes = g.isNarrow
    ? [`M${g.box("medic-exchange").x} ${g.box("medic-exchange").y}L${lx} ${ly}`]
    : [
        `M${WIDE.bus.from * g.width} 190V${WIDE.bus.y}H${lx}V${ly}`,
        `M${WIDE.bus.through * g.width} 190V${WIDE.bus.y}`,
      ];
  return [...straight, ...notes.map((path) => ["status", path])];
}

function open(kind, id) {
  choose({ dialog: { type: "story", kind: kind === "incoming" ? "incoming" : "outgoing", id } });
}
const dots = new Dots((kind, id) => {
  if (kind === "report") choose({ dialog: { type: "queue", queue: "reports" } });
  else open(kind, id);
});

function failing(id) {
  const end = { at: "africastalking", medic: "medic" }[id];
  return end && (things.end.get(end)?.active.length ?? 0) > 0;
}

function status(box) {
  if (box.kind === "queue") {
    const queue = things.queue.get(box.queue);
    if (!queue) return "";
    if (queue.messages === 0) return "empty";
    return `${queue.messages} wait${queue.messages === 1 ? "s" : ""}`;
  }
  if (box.id === "ledger") {
    const unreported = [...things.row.values()].filter((row) => row.unreported).length;
    return unreported ? `${unreported} to report to Medic` : "";
  }
  if (failing(box.id)) return "failing";
  if (box.id === "medic-exchange") {
    const count = countIn("incoming", "medic-exchange");
    return count ? `${count} in a request` : "";
  }
  if (box.id === "outbound-sender") {
    const count = countIn("outgoing", "outbound-sender");
    return count ? `${count} in calls` : "";
  }
  return "";
}

function dialogOf(box) {
  if (box.kind === "queue") return { type: "queue", queue: box.queue };
  if (box.kind === "ledger") return { type: "ledger" };
  if (box.kind === "function") return { type: "function", name: box.id };
  return null;
}

function Box({ box, g }) {
  const { x, y, w, h } = g.box(box.id);
  const words = status(box);
  const dialog = dialogOf(box);
  const style = { left: `${x - w / 2}px`, top: `${y - h / 2}px`, width: `${w}px`, height: `${h}px` };
  const inside = html`<span class="title">${box.title ?? box.id}</span>
    ${box.kind === "queue" || (box.kind === "ledger" && words) ? null : html`<span class="about">${box.about}</span>`}
    ${words ? html`<span class="status">${words}</span>` : null}`;
  const kind = `box ${box.kind} ${failing(box.id) ? "failing" : ""} ${box.kind === "queue" && words !== "empty" ? "full" : ""}`;
  return dialog
    ? html`<button type="button" class=${kind} style=${style} data-box=${box.id} onClick=${() => choose({ dialog })}>${inside}</button>`
    : html`<div class=${kind} style=${style} data-box=${box.id}>${inside}</div>`;
}

function Tray({ id, g }) {
  const count = things.queue.get(id)?.messages ?? 0;
  const [x, y] = g.tray(id);
  return html`<button type="button" class=${`tray ${count ? "full" : ""}`} style=${{ left: `${x}px`, top: `${y}px` }}
    onClick=${() => choose({ dialog: { type: "queue", queue: id } })}>dead-lettered: ${count}</button>`;
}

/** The layer of the dots, which are drawn past the renderer. */
class Layer extends Component {
  element = createRef();

  shouldComponentUpdate(next) {
    if (next.g !== this.props.g) dots.draw(this.element.current, next.g);
    return false;
  }
  componentDidMount() {
    dots.draw(this.element.current, this.props.g);
  }
  render() {
    return html`<div class="dots" aria-hidden="true" ref=${this.element}></div>`;
  }
}

class Picture extends Component {
  element = createRef();

  componentDidMount() {
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.element.current);
    this.measure();
  }
  componentWillUnmount() {
    this.observer.disconnect();
  }
  measure() {
    const width = this.element.current.clientWidth;
    if (width !== this.state.g?.width) this.setState({ g: geometryOf(width) });
  }
  render() {
    const { g } = this.state;
    const size = g ? { height: `${g.height}px` } : {};
    return html`<div class=${`picture ${g?.isNarrow ? "narrow" : ""}`} style=${size} ref=${this.element}>
      ${g
        ? html`<svg width=${g.width} height=${g.height} aria-hidden="true">
              <marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M1 1L7 4L1 7" /></marker>
              ${edges(g).map(([kind, path], index) => html`<path key=${index} class=${kind} d=${path} marker-mid=${kind === "status" ? null : "url(#arrow)"} />`)}
            </svg>
            ${BOXES.map((box) => html`<${Box} key=${box.id} box=${box} g=${g} />`)}
            ${Object.keys(TRAYS).map((id) => html`<${Tray} key=${id} id=${id} g=${g} />`)}
            <${Layer} g=${g} />`
        : null}
    </div>`;
  }
}

/** Why exchanges with Medic fail, by the last log line of medic-exchange about it. */
function medicFailure() {
  return lastLine("posted", "medic_unavailable", "medic_needs_attention", "medic_refused_credentials")?.cause;
}

function waits() {
  const found = [];
  const exchange = things.queue.get("exchange");
  if (exchange?.tried > 0 && medicFailure()) {
    found.push({
      key: "exchange",
      what: `${exchange.messages} SMS waiting for Medic`,
      how: `Tried ${times(exchange.receives)}, retried ${until(exchange.next_try_ms)}.`,
      why: medicFailure(),
      canSkip: true,
    });
  }
  const quarantined = Object.values(things.row.get("exchange")?.quarantined ?? {});
  if (quarantined.length > 0) {
    found.push({
      key: "quarantine",
      what: `${quarantined.length} SMS in quarantine`,
      how: `Retried ${until(Math.min(...quarantined.map((one) => one.until_ms)))}; nothing waits behind.`,
      why: "Medic fails on it, and takes others",
    });
  }
  const circuit = things.row.get("account")?.open_circuit;
  if (circuit) {
    found.push({
      key: "circuit",
      what: `${countIn("outgoing", "outbox")} SMS waiting for phones`,
      how: `One of them probes Africa's Talking ${until(circuit.next_probe_ms)}.`,
      why: inWords(circuit.cause),
    });
  }
  const postponed = [...things.outgoing.values()].filter(
    (message) => message.place === "outbox" && message.wait.reason && message.wait.reason !== "circuit breaker open",
  );
  if (postponed.length > 0) {
    const next = Math.min(...postponed.map((message) => message.wait.next_try_ms));
    found.push({
      key: "postponed",
      what: `${postponed.length} SMS to phones wait`,
      how: `Retried ${until(next)}.`,
      why: postponed.at(-1).wait.reason,
    });
  }
  for (const [id, queue] of Object.entries(TRAYS)) {
    const count = things.queue.get(id)?.messages ?? 0;
    if (count > 0) {
      found.push({
        key: id,
        what: `${count} dead-lettered from ${queue}`,
        how: "An alarm has gone off. They stay for two weeks, and can be redriven.",
        why: lastLine("dead_lettered")?.reason ?? "see there",
      });
    }
  }
  return found;
}

function Now() {
  const found = waits();
  return html`<section class="now" aria-labelledby="now-title">
    <h3 id="now-title">What the bridge does about failures, now</h3>
    ${found.length === 0 ? html`<p class="quiet">Nothing is held back. Inject faults at either end, and send something.</p>` : null}
    <ul>
      ${found.map(
        (one) => html`<li key=${one.key} data-now=${one.key}>
          <p><strong>${one.what}.</strong> ${one.how} <span class="because">Because: ${one.why}.</span></p>
          ${one.canSkip ? html`<button type="button" title="Lets twenty minutes pass for the queues" onClick=${() => act("POST", "/queues/skip-waits")}>Do not wait</button>` : null}
        </li>`,
      )}
    </ul>
  </section>`;
}

function EventLog() {
  const shown = lines.slice(-LINES_LISTED).reverse();
  return html`<section class="event-log" aria-labelledby="event-log-title">
    <h3 id="event-log-title">What the functions log</h3>
    <ol tabindex="0" aria-labelledby="event-log-title">
      ${shown.map(
        (line, index) => html`<li key=${`${line.at_ms} ${shown.length - index} ${line.event}`} class=${line.level}>
          <time>${time(line.at_ms)}</time> <code>${line.function}</code> <span>${sentence(line)}</span>
        </li>`,
      )}
      ${shown.length === 0 ? html`<li class="quiet">Nothing yet.</li>` : null}
    </ol>
  </section>`;
}

export function Pipeline() {
  return html`<section class="column pipeline" id="pipeline" tabindex="-1" aria-labelledby="pipeline-title">
    <h2 id="pipeline-title">The bridge <span class="quiet">five small programs and three queues on AWS, here emulated</span></h2>
    <${Now} />
    <${Picture} />
    <p class="legend">
      <span><i class="dot incoming"></i> SMS from a phone</span>
      <span><i class="dot outgoing"></i> SMS to a phone</span>
      <span><i class="dot report"></i> delivery report</span>
      <span><i class="dot status"></i> status for Medic</span>
      <span class="quiet">Press a box to look inside.</span>
    </p>
    <${EventLog} />
  </section>`;
}
