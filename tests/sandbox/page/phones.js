// Phones: as many as wanted, each a conversation.

import { LISTED_AT_MOST, act, choose, html, things, ui } from "./store.js";
import { Faults } from "./faults.js";
import { RealAccount, real, unseen } from "./real.js";
import { outcome, state, time } from "./words.js";

/** Numbers that nobody has. */
const number = (n) => `+2547000000${String(n).padStart(2, "0")}`;
const MANY = 90;

/** The SMS that each phone has sent and received, in order. */
function conversations() {
  // Behind a real account there are only those that have sent or received something.
  const all = new Map((real("africastalking") ? [] : ui.phones).map((phone) => [phone, []]));
  const put = (phone, entry) => {
    if (!all.has(phone)) all.set(phone, []);
    all.get(phone).push(entry);
  };
  for (const sms of things.incoming.values()) put(sms.phone, { sent: true, sms });
  for (const sms of things.landed.values()) if (sms.on_phone) put(sms.phone, { sent: false, sms });
  for (const entries of all.values()) entries.sort((a, b) => a.sms.at_ms - b.sms.at_ms);
  return all;
}

function Bubble({ sent, sms }) {
  const message = sent ? null : things.outgoing.get(sms.message);
  const [words, tone] = sent
    ? outcome(sms)
    : message
      ? [`Medic: ${state(message.state)[0]}`, state(message.state)[1]]
      : ["Medic does not know yet", "going"];
  const story = sent ? { kind: "incoming", id: sms.id } : message && { kind: "outgoing", id: message.id };
  return html`<li class=${sent ? "bubble sent" : "bubble"}>
    <button type="button" disabled=${!story} onClick=${() => choose({ dialog: { type: "story", ...story } })}
      aria-label=${`${sent ? "Sent" : `Received from ${sms.from}`}: ${sms.text || "an empty text"}. ${words}. What happened to it?`}>
      <span class="text">${sms.text || (sent ? html`<i>an empty SMS</i>` : unseen("text"))}</span>
      <span class="meta"><time>${time(sms.at_ms)}</time> <span class=${`tone ${tone}`}>${words}</span></span>
    </button>
  </li>`;
}

function sendFrom(event) {
  event.preventDefault();
  const form = event.target;
  const data = new FormData(form);
  const text = String(data.get("text"));
  const count = Number(data.get("count"));
  if (count === 1) {
    act("POST", "/phones/sms", { numbers: [ui.phone], texts: [text] });
  } else {
    const numbers = Array.from({ length: MANY }, (_, n) => number(n + 10));
    const texts = Array.from({ length: count }, (_, n) => `${text} (${n + 1})`);
    act("POST", "/phones/sms", { numbers, texts });
  }
  form.elements.text.value = "";
  form.elements.count.value = "1";
  form.elements.text.focus();
}

function addPhone(event) {
  event.preventDefault();
  const input = event.target.elements.number;
  // With nothing typed, the next number that nobody has.
  const phone = input.value.trim() || input.placeholder;
  if (!phone) return;
  const phones = ui.phones.includes(phone) ? ui.phones : [...ui.phones, phone];
  choose({ phones, phone });
  input.value = "";
}

function nextNumber(all) {
  for (let n = 1; n < 100; n += 1) if (!all.has(number(n))) return number(n);
  return "";
}

/** Keeps the newest SMS in view, as a phone does, unless somebody has scrolled back. */
export function keepConversationAtEnd() {
  const list = document.querySelector(".conversation");
  if (!list) return;
  const isOther = list.dataset.phone !== ui.phone;
  list.dataset.phone = ui.phone;
  if (isOther || list.dataset.end !== "no") list.scrollTop = list.scrollHeight;
}

function scrolled(event) {
  const list = event.target;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.dataset.end = isAtEnd ? "yes" : "no";
}

export function Phones() {
  const all = conversations();
  const isReal = real("africastalking") !== null;
  if (isReal && !all.has(ui.phone) && all.size > 0) choose({ phone: all.keys().next().value });
  const entries = all.get(ui.phone) ?? [];
  const shown = entries.slice(-LISTED_AT_MOST);
  const listed = [...all].sort(([, a], [, b]) => (b.at(-1)?.sms.at_ms ?? 0) - (a.at(-1)?.sms.at_ms ?? 0));
  return html`<section class="column phones" aria-labelledby="phones-title">
    <h2 id="phones-title">Phones <span class="quiet">behind ${isReal ? "your account of Africa's Talking" : "Africa's Talking"}</span></h2>
    ${isReal ? html`<${RealAccount} />` : null}
    <ul class="phone-list" aria-label="Phones">
      ${listed.slice(0, LISTED_AT_MOST).map(
        ([phone, some]) => html`<li key=${phone}>
          <button type="button" aria-current=${phone === ui.phone ? "true" : null} onClick=${() => choose({ phone })}>
            <strong>${phone || unseen("number")}</strong>
            <span class="quiet">${some.at(-1)?.sms.text ?? "no SMS yet"}</span>
          </button>
        </li>`,
      )}
      ${listed.length > LISTED_AT_MOST ? html`<li class="quiet older">and ${listed.length - LISTED_AT_MOST} more phones</li>` : null}
    </ul>
    ${isReal ? null : html`<form class="add" onSubmit=${addPhone}>
      <label class="hidden" for="new-phone">Number or name of a new phone</label>
      <input id="new-phone" name="number" type="text" autocomplete="off" placeholder=${nextNumber(all)} />
      <button type="submit">Add a phone</button>
    </form>`}
    <div class="device">
      <h3>${isReal && !all.has(ui.phone) ? "No phone yet" : ui.phone || unseen("number")}</h3>
      <ol class="conversation" tabindex="0" aria-label=${`Conversation of ${ui.phone}`} onScroll=${scrolled}>
        ${entries.length > shown.length ? html`<li class="quiet older">${entries.length - shown.length} earlier ones</li>` : null}
        ${shown.map((entry) => html`<${Bubble} key=${`${entry.sent} ${entry.sms.id}`} ...${entry} />`)}
        ${entries.length === 0 ? html`<li class="quiet empty">${isReal ? "What a phone sends to your number appears here." : "Type an SMS below. It goes to Medic, and Medic replies."}</li>` : null}
      </ol>
      ${isReal ? null : html`<form class="compose" onSubmit=${sendFrom}>
        <label class="hidden" for="sms-text">SMS from ${ui.phone}</label>
        <input id="sms-text" name="text" type="text" autocomplete="off" placeholder="SMS to Medic" />
        <label class="hidden" for="sms-count">How many</label>
        <select id="sms-count" name="count">
          <option value="1">once</option>
          <option value="20">20 phones</option>
          <option value="100">100 SMS from 90 phones</option>
        </select>
        <button type="submit" class="primary">Send</button>
      </form>`}
    </div>
    ${isReal ? null : html`<${Faults} end="africastalking" />`}
  </section>`;
}
