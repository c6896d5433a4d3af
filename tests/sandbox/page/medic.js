// Medic: what came in, and what it wants sent.

import { LISTED_AT_MOST, act, choose, html, newest, older, things, ui } from "./store.js";
import { Faults } from "./faults.js";
import { RealMedic, real, unseen } from "./real.js";
import { state, time, times } from "./words.js";

const MANY = "many";

function queue(event) {
  event.preventDefault();
  const form = event.target;
  const data = new FormData(form);
  const count = Number(data.get("count"));
  const text = String(data.get("text"));
  const to = String(data.get("to"));
  const numbers =
    to === MANY ? Array.from({ length: 90 }, (_, n) => `+2547000000${n + 10}`) : [to];
  const texts =
    count === 1 ? [text] : Array.from({ length: count }, (_, n) => `${text} (${n + 1})`);
  act("POST", "/medic/outgoing", { numbers, texts });
}

function setReply(event) {
  if (event.target.checked) return act("POST", "/medic/auto-reply", "Thank you, we have received your message.");
  return act("DELETE", "/medic/auto-reply");
}

function story(kind, id) {
  choose({ dialog: { type: "story", kind, id } });
}

function Reports() {
  const stored = [...things.incoming.values()].filter((sms) => sms.place === "medic");
  const at = (sms) => sms.trail.at(-1)?.at_ms ?? 0;
  const shown = stored.sort((a, b) => at(b) - at(a)).slice(0, LISTED_AT_MOST);
  return html`<section aria-labelledby="reports-title">
    <h3 id="reports-title">${real("medic") ? "Handed over" : "Reports"} <span class="count">${stored.length}</span></h3>
    <ul class="messages" tabindex="0" aria-labelledby="reports-title" data-list="reports">
      ${shown.map(
        (sms) => html`<li key=${sms.id}>
          <button type="button" onClick=${() => story("incoming", sms.id)}>
            <span class="line"><strong>${sms.phone}</strong><time>${time(at(sms))}</time></span>
            <span class="text">${sms.text || html`<i>an empty SMS</i>`}</span>
            ${sms.stored > 1 ? html`<span class="tone bad">stored ${times(sms.stored)}</span>` : null}
          </button>
        </li>`,
      )}
      ${stored.length === 0 ? html`<li class="quiet empty">What phones send arrives here.</li>` : null}
    </ul>
    ${older(stored.length)}
  </section>`;
}

function Outgoing() {
  const all = things.outgoing;
  return html`<section aria-labelledby="outgoing-title">
    <h3 id="outgoing-title">Outgoing <span class="count">${all.size}</span></h3>
    <ul class="messages" tabindex="0" aria-labelledby="outgoing-title" data-list="outgoing">
      ${newest(all.values()).map((message) => {
        const [words, tone] = state(message.state);
        const reason = message.history.at(-1)?.details;
        return html`<li key=${message.id}>
          <button type="button" onClick=${() => story("outgoing", message.id)}>
            <span class="line"><strong>${message.phone || unseen("number")}</strong><span class=${`tone ${tone}`}>${words}</span></span>
            <span class="text">${message.text || unseen("text")}</span>
            ${reason ? html`<span class="quiet">because: ${reason}</span>` : null}
          </button>
        </li>`;
      })}
      ${all.size === 0 ? html`<li class="quiet empty">What Medic wants sent is listed here, with its state.</li>` : null}
    </ul>
    ${older(all.size)}
  </section>`;
}

function QueueForm() {
  return html`<form class="queue-form" onSubmit=${queue}>
    <label>Send <input name="text" type="text" value="Please come on Monday" autocomplete="off" required /></label>
    <label>to <select name="to">
      ${ui.phones.slice(0, LISTED_AT_MOST).map((phone) => html`<option key=${phone} value=${phone} selected=${phone === ui.phone}>${phone}</option>`)}
      <option value=${MANY}>90 phones, in turn</option>
    </select></label>
    <label><span class="hidden">How often</span><select name="count">
      <option value="1">once</option>
      <option value="10">10 times</option>
      <option value="100">100 times</option>
      <option value="300">300 times</option>
    </select></label>
    <button type="submit" class="primary">Queue</button>
  </form>`;
}

export function Medic() {
  const end = things.end.get("medic");
  const isReal = real("medic") !== null;
  return html`<section class="column medic" aria-labelledby="medic-title">
    <h2 id="medic-title">Medic <span class="quiet">${isReal ? "your own" : "the health programme"}</span></h2>
    ${isReal ? html`<${RealMedic} />` : html`<${QueueForm} />`}
    <div class="settings">
      ${isReal ? null : html`<label><input type="checkbox" role="switch" checked=${end?.replies ?? false} onChange=${setReply} /> reply to every SMS</label>`}
      <button type="button" title="As the schedule does every minute" onClick=${() => act("POST", "/medic/poll")}>Ask Medic now</button>
    </div>
    <${Reports} />
    <${Outgoing} />
    ${isReal ? null : html`<${Faults} end="medic" />`}
  </section>`;
}
