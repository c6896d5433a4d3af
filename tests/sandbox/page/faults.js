// Faults to switch on at either end.

import { act, choose, html, things, ui } from "./store.js";

/** The ones to begin with: one click each. */
const FIRST = {
  medic: ["down", "slow", "full-disk", "committed-close"],
  africastalking: ["down", "accepted-close", "out-of-credit", "reports-early", "robot"],
};

const NAMES = { medic: "Medic", africastalking: "Africa's Talking" };

const isOn = (end, name) => active(end).some((one) => one.fault === name);
const active = (end) => things.end.get(end)?.active ?? [];

function known(end, name) {
  return ui.faults?.[end].find((fault) => fault.name === name);
}

function scopeOf(form) {
  const data = form ? new FormData(form) : new Map();
  const matching = String(data.get("matching") ?? "").trim();
  if (matching) return `?matching=${encodeURIComponent(matching)}`;
  return data.get("scope") === "next" ? "?next=1" : "";
}

function toggle(end, name, form) {
  if (isOn(end, name)) return act("DELETE", `/faults/${end}/${name}`);
  return act("POST", `/faults/${end}/${name}${scopeOf(form)}`);
}

function scopeWords(scope) {
  if (scope === "until-cleared") return "until switched off";
  if (scope.next) return `for the next ${scope.next === 1 ? "one" : scope.next} only`;
  return `only for “${scope.matching}”`;
}

function Active({ end }) {
  const faults = active(end);
  if (faults.length === 0) return null;
  return html`<ul class="active" aria-label=${`Faults that are on at ${NAMES[end]}`}>
    ${faults.map(
      (one, number) => html`<li key=${`${one.fault} ${number}`}>
        <p><code>${one.fault}</code> ${known(end, one.fault)?.description} <span class="quiet">(${scopeWords(one.scope)})</span></p>
        <button type="button" onClick=${() => act("DELETE", `/faults/${end}/${one.fault}`)}>Switch off</button>
      </li>`,
    )}
  </ul>`;
}

function Paused({ end }) {
  const paused = things.end.get(end)?.paused ?? 0;
  if (!paused) return null;
  const [what, path] =
    end === "medic"
      ? ["POSTs are paused inside Medic", "/medic/release"]
      : ["delivery reports are paused", "/africastalking/release"];
  return html`<p class="paused">${paused} ${what}. <button type="button" onClick=${() => act("POST", path)}>Let them go</button></p>`;
}

function groups(faults, filter) {
  const found = new Map();
  for (const fault of faults) {
    const text = `${fault.name} ${fault.description} ${fault.heading}`.toLowerCase();
    if (!text.includes(filter)) continue;
    if (!found.has(fault.heading)) found.set(fault.heading, []);
    found.get(fault.heading).push(fault);
  }
  return [...found];
}

function All({ end }) {
  const faults = ui.faults?.[end] ?? [];
  const filter = ui[`filter-${end}`] ?? "";
  return html`<details class="all">
    <summary>All ${faults.length} faults, by name</summary>
    <form onSubmit=${(event) => event.preventDefault()}>
      <div class="scope">
        <label><input type="radio" name="scope" value="until" checked /> until switched off</label>
        <label><input type="radio" name="scope" value="next" /> the next one only</label>
        <label>only for <input name="matching" type="text" size="12" placeholder=${end === "medic" ? "a text or an id" : "a number"} /></label>
      </div>
      <label class="find">Find <input type="search" value=${filter}
        onInput=${(event) => choose({ [`filter-${end}`]: event.target.value.toLowerCase() })} /></label>
      ${groups(faults, filter).map(
        ([heading, some]) => html`<fieldset key=${heading}>
          <legend>${heading}</legend>
          ${some.map(
            (fault) => html`<label class="fault" key=${fault.name}>
              <input type="checkbox" role="switch" checked=${isOn(end, fault.name)}
                onChange=${(event) => toggle(end, fault.name, event.target.form)} />
              <span><code>${fault.name}</code> ${fault.description}</span>
            </label>`,
          )}
        </fieldset>`,
      )}
    </form>
  </details>`;
}

export function Faults({ end }) {
  return html`<section class="faults" aria-label=${`Inject faults at ${NAMES[end]}`}>
    <h3>Inject faults at ${NAMES[end]}</h3>
    <div class="chips">
      ${FIRST[end].map(
        (name) => html`<button type="button" class="chip" key=${name} aria-pressed=${String(isOn(end, name))}
          title=${known(end, name)?.description} data-fault=${`${end}/${name}`}
          onClick=${() => toggle(end, name)}>${name}</button>`,
      )}
    </div>
    <${Active} end=${end} />
    <${Paused} end=${end} />
    <${All} end=${end} />
  </section>`;
}
