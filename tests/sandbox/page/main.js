// The page: everything that the sandbox does, as it happens.

import { render } from "./vendor/preact.mjs";
import { Account, Why } from "./account.js";
import { Dialog } from "./dialogs.js";
import { Medic } from "./medic.js";
import { Phones, keepConversationAtEnd } from "./phones.js";
import { Pipeline } from "./pipeline.js";
import { real } from "./real.js";
import { changed, choose, html, listen, onNews, onRender, things, ui } from "./store.js";

/** Announcements for those who hear the page, at most one in so many milliseconds. */
const ANNOUNCED_EVERY_MS = 4000;

function Notices() {
  const emulator = things.emulator.get("emulator");
  return html`<div class="notices" role="alert">
    ${ui.connected !== false ? null : html`<p class="notice">No connection to the sandbox. Is it still running? Trying again.</p>`}
    ${emulator?.error ? html`<p class="notice">The emulator of AWS does not answer: ${emulator.error}</p>` : null}
    ${ui.error ? html`<p class="notice">That did not work: ${ui.error} <button type="button" onClick=${() => choose({ error: null })}>Close</button></p>` : null}
  </div>`;
}

function App() {
  return html`<header class="top">
      <h1>cht-africastalking</h1>
      <p>brings SMS from phones to Medic, and Medic's SMS to phones. Everything here happens while you look.</p>
    </header>
    <${Notices} />
    <${Account} />
    <${Why} />
    <main>
      <${Phones} />
      <${Pipeline} />
      <${Medic} />
    </main>
    <${Dialog} />`;
}

let announcement = "";
onNews((news) => {
  if (news.whole) return;
  const { sent, on_their_way, stored_once, handed_over, lost } = things.account.get("from-phones") ?? {};
  announcement = real("medic")
    ? `${sent} SMS sent, Medic has answered for ${handed_over}, ${on_their_way} on their way.`
    : `${sent} SMS sent, ${stored_once} stored once, ${on_their_way} on their way, ${lost} lost.`;
});
setInterval(() => {
  const live = document.getElementById("live");
  if (announcement !== live.textContent) live.textContent = announcement;
  // Times such as “in 5 s” go on.
  changed();
}, ANNOUNCED_EVERY_MS);

const root = document.getElementById("app");
root.replaceChildren();
onRender(() => {
  render(html`<${App} />`, root);
  keepConversationAtEnd();
});
changed();
listen();
fetch("/faults").then((answer) => answer.json()).then((faults) => choose({ faults }));
