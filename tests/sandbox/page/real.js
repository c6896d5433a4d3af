// A real end: what can be seen of it, and what cannot.

import { html, things } from "./store.js";
import { time } from "./words.js";

/** The facts about a real end; nothing where a model is. */
export const real = (end) => things.end.get(end)?.real ?? null;

/** In the place of a number or a text that nobody here has. */
export const unseen = (what) => html`<i>${what} not seen</i>`;

export function RealMedic() {
  const medic = real("medic");
  return html`<section class="real" aria-label="Your Medic">
    <p>At <code>${medic.url}</code>, as <code>${medic.user}</code>. It is asked every minute what it wants sent.</p>
    <p>Waiting in it for a gateway: <strong data-real="waiting">${medic.waiting ?? "its monitoring does not say"}</strong></p>
    <p class="quiet">Seen from here: what it has answered, and what it has offered. Not seen: whether a report is
      stored once or twice, and what it became in Medic; and number and text of what it sends, unless a queue has them while
      this page is open. No fault can be injected.</p>
  </section>`;
}

function CallbackUrls({ account }) {
  if (!account.incoming_url) {
    return html`<p class="because">Without a tunnel (<code>--public-url</code>) no SMS and no delivery report comes in. One would have
      to lead to <code>${account.gate}</code>.</p>`;
  }
  return html`<p>Paste into its dashboard:</p>
    <dl>
      <dt>Incoming messages</dt><dd><code>${account.incoming_url}</code></dd>
      <dt>Delivery reports</dt><dd><code>${account.reports_url}</code></dd>
      <dt>Opt-outs</dt><dd><code>${account.opt_outs_url}</code></dd>
    </dl>`;
}

export function RealAccount() {
  const account = real("africastalking");
  const isLive = account.username !== "sandbox";
  return html`<section class="real" aria-label="Your account of Africa's Talking">
    <p>Account <code>${account.username}</code>: ${isLive ? "live, each SMS costs money." : "its simulator, no phone receives anything."}</p>
    <p>Callbacks: <strong data-real="callbacks">${account.callbacks}</strong>${account.refused ? html`, <span class="tone bad">${account.refused} refused</span>` : null}${account.last_ms ? `, the last at ${time(account.last_ms)}` : ", none yet"}</p>
    <${CallbackUrls} account=${account} />
    <p class="quiet">Seen from here: what its callbacks bring, and what it has accepted. Not seen: what a phone shows; a
      delivery report is all that is known of it. No fault can be injected.</p>
  </section>`;
}
