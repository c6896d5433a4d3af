// A closer look: at one SMS, a queue, the ledger, a function.

import { Component, createRef } from "./vendor/preact.mjs";
import { LISTED_AT_MOST, choose, html, lines, newest, older, things, ui } from "./store.js";
import { real, unseen } from "./real.js";
import { PLACES, outcome, sentence, state, time, times, until } from "./words.js";

const close = () => choose({ dialog: null });
const show = (dialog) => choose({ dialog });

function Fields({ row }) {
  return html`<table class="fields"><tbody>
    ${Object.entries(row).map(
      ([name, value]) => html`<tr key=${name}><th scope="row">${name}</th><td>${shown(name, value)}</td></tr>`,
    )}
  </tbody></table>`;
}

function shown(name, value) {
  if (name.endsWith("_ms") && typeof value === "number") return `${value} (${time(value)})`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The log lines about any of these ids. */
function Logged({ ids }) {
  const about = lines.filter((line) => [line.id, line.medic_id, line.at_id].some((id) => id && ids.includes(id)));
  if (about.length === 0) return null;
  return html`<h3>What the functions logged about it</h3>
    <ol class="log">${about.map(
      (line, index) => html`<li key=${index} class=${line.level}><time>${time(line.at_ms)}</time> <code>${line.function}</code> ${sentence(line)}</li>`,
    )}</ol>`;
}

function Trail({ thing }) {
  return html`<h3>Where it has been</h3>
    <ol class="trail">${thing.trail.map(
      (step, index) => html`<li key=${index}><time>${time(step.at_ms)}</time> ${PLACES[step.place]}</li>`,
    )}</ol>`;
}

function Incoming({ sms }) {
  const [words, tone] = outcome(sms);
  return html`<p class="quoted">${sms.text || html`<i>an empty SMS</i>`}</p>
    <p>From ${sms.phone}. <span class=${`tone ${tone}`}>${words}.</span></p>
    ${sms.wait.next_try_ms && sms.place === "exchange" && sms.wait.receives > 0
      ? html`<p>Handed to medic-exchange ${times(sms.wait.receives)}; again ${until(sms.wait.next_try_ms)}.</p>`
      : null}
    <${Trail} thing=${sms} />
    <${Logged} ids=${[sms.id]} />
    <p class="quiet">Its id, from Africa's Talking to Medic: ${sms.id}</p>`;
}

function History({ message }) {
  return html`<h3>Its history in Medic</h3>
    <ol class="trail">${message.history.map(
      (change, index) => html`<li key=${index}><time>${time(change.at_ms)}</time> ${state(change.state)[0]}${change.details ? ` (${change.details})` : ""}</li>`,
    )}</ol>`;
}

function Outgoing({ message }) {
  const [words, tone] = state(message.state);
  const row = things.row.get(`message#${message.id}`);
  return html`<p class="quoted">${message.text || unseen("text")}</p>
    <p>To ${message.phone || unseen("number")}. In Medic: <span class=${`tone ${tone}`}>${words}.</span>
      ${message.wait.reason ? html` <span class="because">Because: ${message.wait.reason}.</span>` : null}</p>
    <${Trail} thing=${message} />
    ${real("medic") ? html`<p class="quiet">Its history in your Medic is not seen from here.</p>` : html`<${History} message=${message} />`}
    <${Logged} ids=${[message.id, ...message.at_ids]} />
    ${row ? html`<h3>Its row in the ledger</h3><${Fields} row=${row} />` : html`<p class="quiet">The ledger has no row of it yet.</p>`}`;
}

function Story({ kind, id }) {
  const thing = things[kind].get(id);
  if (!thing) return html`<p>It is not known any more.</p>`;
  return kind === "incoming" ? html`<${Incoming} sms=${thing} />` : html`<${Outgoing} message=${thing} />`;
}

function Queue({ queue }) {
  const kind = queue.startsWith("exchange") ? "incoming" : queue.startsWith("outbox") ? "outgoing" : "report";
  const here = new Map([...things[kind]].filter(([, thing]) => thing.place === queue));
  const depth = things.queue.get(queue);
  return html`<p>${depth?.messages ?? 0} in it${depth?.others ? `, and ${depth.others} wake-up calls for medic-exchange` : ""}.</p>
    <ul class="contents">${newest(here.values()).map((thing) => html`<li key=${thing.id}>${entry(kind, thing)}</li>`)}</ul>
    ${older(here.size)}`;
}

function entry(kind, thing) {
  if (kind === "report") return html`<code>${thing.id}</code> ${thing.status}`;
  return html`<button type="button" onClick=${() => show({ type: "story", kind, id: thing.id })}>
    <strong>${thing.phone}</strong> ${thing.text}
    ${thing.wait.receives ? html`<span class="quiet"> tried ${times(thing.wait.receives)}, again ${until(thing.wait.next_try_ms)}</span>` : null}
    ${thing.wait.reason ? html`<span class="because"> because: ${thing.wait.reason}</span>` : null}
  </button>`;
}

function Ledger() {
  const messages = [];
  const others = [];
  for (const [key, row] of things.row) {
    if (key.startsWith("message#")) messages.push(row);
    else if (!key.startsWith("sms#") && !key.startsWith("recipient#")) others.push(row);
  }
  return html`<p>One row for each message that Medic wants sent. It holds no phone number and no text.</p>
    ${[...others, ...newest(messages)].map(
      (row) => html`<details key=${row.pk} class="row">
        <summary><code>${row.pk}</code> ${row.status ?? ""}${row.unreported ? ", not yet reported to Medic" : ""}</summary>
        <${Fields} row=${row} />
      </details>`,
    )}
    ${older(messages.length)}
    ${messages.length === 0 ? html`<p class="quiet">None yet.</p>` : null}`;
}

function Function({ name }) {
  const own = lines.filter((line) => line.function === name).slice(-LISTED_AT_MOST).reverse();
  return html`<p>What it has logged, newest first. No number and no text is ever in it.</p>
    <ol class="log">${own.map(
      (line, index) => html`<li key=${`${line.at_ms} ${index}`} class=${line.level}><time>${time(line.at_ms)}</time> ${sentence(line)}</li>`,
    )}</ol>
    ${own.length === 0 ? html`<p class="quiet">Nothing yet.</p>` : null}
    <p><a href=${`/logs/${name}`} target="_blank" rel="noopener">The whole log, as it is</a></p>`;
}

function title(dialog) {
  if (dialog.type === "story") return dialog.kind === "incoming" ? "An SMS from a phone" : "An SMS to a phone";
  if (dialog.type === "queue") return dialog.queue === "exchange" ? "exchange.fifo" : dialog.queue;
  return dialog.type === "ledger" ? "The ledger" : dialog.name;
}

const BODIES = { story: Story, queue: Queue, ledger: Ledger, function: Function };

export class Dialog extends Component {
  element = createRef();

  componentDidUpdate() {
    const element = this.element.current;
    if (ui.dialog && !element.open) element.showModal();
    if (!ui.dialog && element.open) element.close();
  }
  render() {
    const { dialog } = ui;
    const Body = dialog && BODIES[dialog.type];
    return html`<dialog ref=${this.element} aria-labelledby="dialog-title" onClose=${close}
      onClick=${(event) => event.target === this.element.current && close()}>
      ${dialog
        ? html`<div class="inside">
            <header><h2 id="dialog-title">${title(dialog)}</h2><button type="button" onClick=${close}>Close</button></header>
            <${Body} ...${dialog} />
          </div>`
        : null}
    </dialog>`;
  }
}
