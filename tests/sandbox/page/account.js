// The running account, and why it stays as it is.

import { real } from "./real.js";
import { html, things } from "./store.js";

const REASONS = [
  ["Kept first", "Africa's Talking hears “200, accepted” only when a queue holds the SMS."],
  ["Tried until done", "The queue gives it to Medic again and again, until Medic says that it has it."],
  ["Never twice", "One request at a time, each SMS under its own id: Medic knows a repeat."],
  ["Nothing dropped", "What can never work goes to the dead-letter queue with its reason, and raises an alarm."],
];

function Figure({ label, value, of, tone, large }) {
  return html`<div class=${`figure ${tone ?? ""} ${large ? "large" : ""}`} data-account=${of}>
    <dt>${label}</dt>
    <dd>${value ?? "–"}</dd>
  </div>`;
}

export function Account() {
  const from = things.account.get("from-phones") ?? {};
  const to = things.account.get("to-phones") ?? {};
  const isReal = real("medic") || real("africastalking");
  const zero = (count) => (count > 0 ? "bad" : "good");
  return html`<section class="account" aria-label="The running account">
    <div class="sheet">
      <h2>From phones to Medic</h2>
      <dl>
        <${Figure} of="sent" label="Sent and accepted" value=${from.sent} />
        <${Figure} of="on_their_way" label="On their way" value=${from.on_their_way} tone=${from.on_their_way ? "waiting" : ""} />
        <${Figure} of="dead_lettered" label="Dead-lettered" value=${from.dead_lettered} tone=${from.dead_lettered ? "bad" : ""} />
        ${real("medic")
          ? html`<${Figure} of="handed_over" label="Medic has answered for" value=${from.handed_over} />`
          : html`<${Figure} of="stored_once" label="Stored once" value=${from.stored_once} />
            <${Figure} of="stored_twice" label="Stored twice" value=${from.stored_twice} tone=${zero(from.stored_twice)} large />
            <${Figure} of="lost" label="Lost" value=${from.lost} tone=${zero(from.lost)} large />`}
      </dl>
      ${real("medic") ? html`<p class="quiet">Your own Medic cannot be counted from here.</p>` : null}
    </div>
    <div class="sheet second">
      <h2>From Medic to phones</h2>
      <dl>
        <${Figure} of="wanted" label="Wanted" value=${to.wanted} />
        <${Figure} of="to_on_their_way" label="On their way" value=${to.on_their_way} tone=${to.on_their_way ? "waiting" : ""} />
        <${Figure} of="failed" label="Failed, Medic knows why" value=${to.failed} />
        <${Figure} of="on_phone" label=${isReal ? "Delivered, by its report" : "On the phone"} value=${to.on_phone} />
        ${isReal ? null : html`<${Figure} of="too_many" label="Too many" value=${to.too_many} tone=${zero(to.too_many)} />`}
      </dl>
    </div>
  </section>`;
}

export function Why() {
  return html`<section class="why" aria-label="Why no SMS is lost">
    <ol>${REASONS.map(([title, text]) => html`<li key=${title}><strong>${title}.</strong> ${text}</li>`)}</ol>
  </section>`;
}
